#!/usr/bin/env bash
# http-ece 1.2.1 cuts a push message of more than 4,079 bytes into several records, which Web Push forbids.
#
# RFC 8291, 4: an application server must encrypt a push message with a single record, so that a browser need not handle
# more. `http_ece.encrypt` in its push mode (`dh`, `auth_secret`, `aes128gcm`) cuts without a warning at its default record
# size of 4,096 bytes, of which 16 are the tag and one the delimiter. Its own `decrypt` reads all records, so a test that
# decrypts what it encrypted sees nothing of it. What helps: refuse contents of more than 3,993 bytes (4,096 with the
# header of 86), which is also all that push services have to take (RFC 8030, 7.2). Seen on 2026-11-30.
#
# Needs Python and a network that has PyPI. Exits with 1 if the behaviour is another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check http-ece==1.2.1 cryptography==46.0.3
v/bin/python - <<'P'
import os

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

phone = ec.generate_private_key(ec.SECP256R1())
point = phone.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
secret = os.urandom(16)


def records(size):
    """How many records a message of so many bytes has, by the header of RFC 8188: salt, record size, id."""
    made = http_ece.encrypt(
        bytes(size), private_key=ec.generate_private_key(ec.SECP256R1()), dh=point, auth_secret=secret,
        version="aes128gcm",
    )
    record, header = int.from_bytes(made[16:20], "big"), 21 + made[20]
    opened = http_ece.decrypt(made, private_key=phone, auth_secret=secret, version="aes128gcm")
    assert opened == bytes(size)
    return -(-(len(made) - header) // record)


found = {size: records(size) for size in (100, 4_079, 4_080, 10_000)}
print("records by bytes:", found)
if found != {100: 1, 4_079: 1, 4_080: 2, 10_000: 3}:
    raise SystemExit("the behaviour has changed")
P

"""The keys of reminders: the clinic's own (VAPID), and what is kept of a phone, both encrypted."""

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from app.api.encryption import Cipher
from app.reminders.models import PushKey, PushSubscription, SubscriptionIn, decoded
from app.storage import Transaction, key_id, keys_for

_PURPOSE = "reminders"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a message for a phone goes, and the phone's own key and secret, with which it is encrypted."""

    endpoint: str
    public_key: bytes
    secret: bytes


def new_key(db: Transaction, clinic_id: UUID, now: datetime) -> PushKey:
    """A new key pair of a clinic."""
    made = ec.generate_private_key(ec.SECP256R1())
    point = made.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    private = made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return PushKey(
        clinic_id=clinic_id,
        public_key=encoded(point),
        sealed=_cipher(db).encrypt(encoded(private)),
        key_id=key_id(db),
        created_at=now,
    )


def private_key(db: Transaction, key: PushKey) -> ec.EllipticCurvePrivateKey | None:
    """The private key of a clinic; None where nobody can read it any more."""
    held = _cipher(db).decrypt(key.sealed)
    if held is None:
        return None
    found = load_der_private_key(decoded(held), None)
    assert isinstance(found, ec.EllipticCurvePrivateKey)  # none other is made
    return found


def keep(db: Transaction, subscription: PushSubscription, body: SubscriptionIn) -> None:
    """Encrypts where a phone's messages go."""
    subscription.sealed = _cipher(db).encrypt([body.endpoint, body.public_key, body.secret])
    subscription.key_id = key_id(db)


def destination(db: Transaction, subscription: PushSubscription) -> Destination | None:
    """Where a phone's messages go; None where nobody can read that any more."""
    found = _cipher(db).decrypt(subscription.sealed or "")
    if found is None:
        return None
    endpoint, public_key, secret = found
    return Destination(endpoint, decoded(public_key), decoded(secret))


def reseal(db: Transaction, held: PushKey | PushSubscription) -> None:
    """Encrypts it under the service's secret of now. What nobody can read stays as it is."""
    cipher = _cipher(db)
    content: Any = cipher.decrypt(held.sealed or "")
    if content is not None:
        held.sealed, held.key_id = cipher.encrypt(content), key_id(db)
        db.add(held)


def encoded(content: bytes) -> str:
    """Bytes as base64url without padding."""
    return urlsafe_b64encode(content).decode().rstrip("=")


def _cipher(db: Transaction) -> Cipher:
    return Cipher(keys_for(db, _PURPOSE))

#!/usr/bin/env bash
# segno 1.6.6 makes a Micro QR code of a short text, unless it is asked for a QR code by name.
#
# `segno.make` chooses the smallest code that holds the text. A device's code of up to 15 digits or 9 letters becomes a
# Micro QR code, which the cameras of phones do not read. There is no warning; a longer text gives an ordinary code, so a
# test with a whole link sees nothing of it. `segno.make_qr` makes an ordinary one of any text. Seen on 2026-11-30.
#
# Needs Python and a network that has PyPI. Exits with 1 if the behaviour is another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check segno==1.6.6
v/bin/python - <<'P'
import segno

made = {name: segno.make(name, error="m") for name in ("48213", "A1B2C3", "https://clinic.example/check-in#A1B2C3")}
seen = {name: (code.designator, code.is_micro) for name, code in made.items()}
by_name = segno.make_qr("48213", error="m")
print(seen, "; make_qr", by_name.designator, by_name.is_micro)
if [code.is_micro for code in made.values()] != [True, True, False] or by_name.is_micro:
    raise SystemExit("the behaviour has changed")
P

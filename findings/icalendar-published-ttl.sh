#!/usr/bin/env bash
# icalendar 7.3.2 writes X-PUBLISHED-TTL, given as a timedelta, as a time of day; and REFRESH-INTERVAL without its type.
#
# Both say how often a subscribed calendar is to be read again. Calendar programs want the duration PT12H in the first, and
# RFC 7986 (5.7) has no default type for the second, so VALUE=DURATION must stand there. Neither is refused or warned of.
# A text for the first and `parameters={"VALUE": "DURATION"}` for the second write what is meant. Seen on 2026-11-30.
#
# Needs Python and a network that has PyPI. Exits with 1 if the behaviour is another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check icalendar==7.3.2
v/bin/python - <<'P'
from datetime import timedelta

from icalendar import Calendar

made = Calendar()
made.add("x-published-ttl", timedelta(hours=12))
made.add("refresh-interval", timedelta(hours=12))
lines = [line for line in made.to_ical().decode().splitlines() if "TTL" in line or "REFRESH" in line]
print(lines)
if sorted(lines) != ["REFRESH-INTERVAL:PT12H", "X-PUBLISHED-TTL:12:00:00"]:
    raise SystemExit("the behaviour has changed")
P

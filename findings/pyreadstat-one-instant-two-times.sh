#!/usr/bin/env bash
# pyreadstat 1.3.7 writes one instant as two times, by the type of the column that holds it.
#
# An SPSS file has no time zones. A column of pandas' own type with a zone is written in UTC; a column of Python's
# datetime objects with a zone, which is what mixed offsets make, is written as the clock read. There is no warning, and
# no sign of it in the file: the times of two sites of a study are hours apart. Seen on 2026-11-30.
#
# Needs Python and a network that has PyPI. Exits with 1 if the behaviour is another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check pyreadstat==1.3.7 pandas==3.1.1
v/bin/python - <<'P'
from datetime import datetime, timedelta, timezone

import pandas
import pyreadstat

taken = datetime(2026, 3, 1, 9, 30, tzinfo=timezone(timedelta(hours=-5)))
visit = pandas.DataFrame(
    {"typed": pandas.Series([pandas.Timestamp(taken)]), "objects": pandas.Series([taken], dtype=object)}
)
assert visit["typed"][0] == visit["objects"][0]
pyreadstat.write_sav(visit, "visit.sav")
back = pyreadstat.read_sav("visit.sav")[0].iloc[0]
seen = {name: str(back[name]) for name in ("typed", "objects")}
print(f"one instant, {taken.isoformat()}, comes back as", seen)
if seen != {"typed": "2026-03-01 14:30:00", "objects": "2026-03-01 09:30:00"}:
    raise SystemExit("the behaviour has changed")
P

#!/usr/bin/env bash
# pyxform 4.5.0 writes the default of a date question, given as a date cell of a workbook, as something that is no date.
#
# The default of a `date` question becomes "2026-03-01 00:00:00", and that of a `dateTime` question has a blank where XML
# wants a T. Neither is a value of the type that the form declares for it. There is no warning. A version given as the
# number 2026.10 becomes 2026.1, the same as that of January. Seen on 2026-11-30.
#
# Needs Python and a network that has PyPI. Exits with 1 if the behaviour is another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check pyxform==4.5.0 openpyxl==3.1.5
v/bin/python - <<'P'
import re
from datetime import date, datetime

import openpyxl
from pyxform.xls2xform import convert

book = openpyxl.Workbook()
survey = book.active
survey.title = "survey"
survey.append(["type", "name", "label", "default"])
survey.append(["date", "seen", "Seen", date(2026, 3, 1)])
survey.append(["dateTime", "taken", "Taken", datetime(2026, 3, 1, 10, 0)])
settings = book.create_sheet("settings")
settings.append(["form_id", "version"])
settings.append(["mood", 2026.10])
book.save("mood.xlsx")
made = convert("mood.xlsx")
defaults = re.findall(r"<(seen|taken)>([^<]+)<", made.xform)
version = re.search(r'<data[^>]*\bversion="([^"]*)"', made.xform)[1]
print("defaults", defaults, "; version", version, "; warnings", made.warnings)
if (defaults, version, made.warnings) != ([("seen", "2026-03-01 00:00:00"), ("taken", "2026-03-01 10:00:00")], "2026.1", []):
    raise SystemExit("the behaviour has changed")
P

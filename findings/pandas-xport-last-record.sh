#!/usr/bin/env bash
# pandas 3.1.1 leaves out the last record of a valid SAS XPORT file whose last variables are blank.
#
# In CDISC's QS domain QSSTAT is blank wherever a question was answered. Where the blank text at the end of the last
# record reaches back over an eight-byte border, `read_sas(format="xport")` takes it for the padding of the file: the
# record is gone, without a warning. pyreadstat reads all of them. So the last answer of a study may be missing.
# Seen on 2026-11-30.
#
# Needs Python and a network that has PyPI. Exits with 1 if the behaviour is another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv v
v/bin/pip install --quiet --disable-pip-version-check pandas==3.1.1 pyreadstat==1.3.7
v/bin/python - <<'P'
import pandas
import pyreadstat

subjects = [f"T-{n:02d}" for n in range(1, 6)]
study = pandas.DataFrame({"USUBJID": subjects, "QSSTRESN": [2.0, 0.0, 1.0, 3.0, 1.0], "QSSTAT": [""] * 5})
pyreadstat.write_xport(study, "qs.xpt", table_name="QS", file_format_version=5)
by_pyreadstat = pyreadstat.read_xport("qs.xpt")[0]["USUBJID"].tolist()
by_pandas = pandas.read_sas("qs.xpt", format="xport", encoding="latin-1")["USUBJID"].tolist()
print("pyreadstat reads", by_pyreadstat)
print("pandas reads    ", by_pandas)
if by_pyreadstat != subjects or by_pandas != subjects[:-1]:
    raise SystemExit("the behaviour has changed")
P

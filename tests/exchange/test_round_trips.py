"""What was exported, opened and written back by the tools of the trade comes in again and changes nothing."""

import shutil
import subprocess
from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import openpyxl
import pandas
import polars
import pytest
from pyarrow import parquet

from app.exchange import exporting
from app.exchange import parquet as parquet_files
from app.exchange.reading import XLSX
from app.storage import Database
from tests.conftest import Api, days_ago
from tests.exchange.files import CSV, NDJSON, counted, exported, imported

_FILES = ("patients", "sessions", "scores")
Written = tuple[bytes, str]


@pytest.fixture
def filled(api: Api) -> Api:
    """A clinic with one of everything that a tool may spoil."""
    for external_id in ("0042", "1E5", "=1+1", "TRUE", "2024-03-01", "NA-7"):
        patient = api.patient(
            external_id=external_id, label="A.B." if external_id != "TRUE" else None, birth_year=1984,
            indications=["ptsd", "ocd"] if external_id == "0042" else [],
        )  # fmt: skip
        session = api.session(
            patient, days_ago(20), ended_at=days_ago(19.98), weight_kg=77, dose_mg=38.5,
            vitals=[{"at": days_ago(19.99), "systolic": 142, "diastolic": 88}],
            side_effects=[{"effect": "nausea", "severity": "mild"}], notes='one, "two"\nthree',
        )  # fmt: skip
        body = {
            "taken_at": days_ago(18),
            "session_id": session["id"] if external_id == "0042" else None,
            "responses": [
                {"instrument": "phq-9", "answers": [2, 2, 1, 0, 3, 1, 0, 0, None if external_id == "0042" else 1]},
                {"instrument": "peg", "answers": [3, 4, 6]},
                {"instrument": "nrs-pain", "score": 7},
                {"instrument": "gad-7", "score": 9},
            ],
        }
        answer = api.post(f"/v1/patients/{patient}/check-ins", body)
        assert answer.status_code == 201, answer.text
        api.check_in(patient, days_ago(19.5).split(".")[0] + "+00:00", "promis-anxiety-4a", 51.2)
    return api


def by_pandas(text: str) -> Written:
    return pandas.read_csv(StringIO(text)).to_csv(index=False).encode(), CSV


def by_pandas_with_dates(text: str) -> Written:
    frame = pandas.read_csv(StringIO(text))
    dates = [name for name in frame.columns if name.endswith("_at") or name == "local_day"]
    frame[dates] = frame[dates].apply(pandas.to_datetime)
    return frame.to_csv().encode(), CSV  # with its index, as many write it


def by_pandas_to_excel(text: str) -> Written:
    out = BytesIO()
    pandas.read_csv(StringIO(text)).to_excel(out, index=False)
    return out.getvalue(), XLSX


def by_polars(text: str) -> Written:
    return polars.read_csv(text.encode(), infer_schema_length=None).write_csv().encode(), CSV


def by_polars_with_dates(text: str) -> Written:
    return polars.read_csv(text.encode(), try_parse_dates=True, infer_schema_length=None).write_csv().encode(), CSV


def by_duckdb(text: str) -> Written:
    return _by_duckdb(text, "(FORMAT csv, HEADER)"), CSV


def by_duckdb_to_json(text: str) -> Written:
    return _by_duckdb(text, "(FORMAT json)"), NDJSON


def _by_duckdb(text: str, how: str) -> bytes:
    folder = Path(_folder[0])
    (folder / "in.csv").write_text(text, newline="")
    with duckdb.connect() as connection:
        query = f"COPY (SELECT * FROM read_csv('{folder}/in.csv', sample_size=-1)) TO '{folder}/out' {how}"
        connection.execute(query)
    return (folder / "out").read_bytes()


def by_openpyxl_as_text(text: str) -> Written:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    for row in pandas.read_csv(StringIO(text), dtype=str, keep_default_na=False, header=None).itertuples(index=False):
        sheet.append(list(row))
    out = BytesIO()
    book.save(out)
    return out.getvalue(), XLSX


def by_readr(text: str) -> Written:
    return _by_r(text, "readr::write_csv(readr::read_csv('in.csv', show_col_types = FALSE), 'out.csv')")


def by_base_r(text: str) -> Written:
    return _by_r(text, "write.csv(read.csv('in.csv'), 'out.csv')")


def _by_r(text: str, program: str) -> Written:
    _needs("Rscript", "r-base-core and r-cran-readr")
    folder = Path(_folder[0])
    (folder / "in.csv").write_text(text, newline="")
    done = subprocess.run(["Rscript", "-e", program], cwd=folder, capture_output=True, text=True, check=False)
    if "there is no package" in done.stderr:
        pytest.skip("SKIPPED: R without readr (Debian: r-cran-readr)")
    assert done.returncode == 0, done.stderr
    return (folder / "out.csv").read_bytes(), CSV


def by_libreoffice(text: str) -> Written:
    """To a workbook and back to CSV, in UTF-8, with quoted text kept as text."""
    _needs("soffice", "libreoffice-calc")
    folder = Path(_folder[0])
    (folder / "in.csv").write_text(text, newline="")
    for form, file in (("xlsx", "in.csv"), ('csv:"Text - txt - csv (StarCalc)":44,34,76,1', "in.xlsx")):
        reading = ["--infilter=CSV:44,34,76,1,,0,true,true"] if form == "xlsx" else []
        home = f"-env:UserInstallation=file://{folder}/office"
        command = [
            "soffice",
            home,
            "--headless",
            *reading,
            "--convert-to",
            form.replace('"', ""),
            "--outdir",
            ".",
            file,
        ]
        subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=120)
        if form == "xlsx":
            (folder / "in.csv").unlink()
    return (folder / "in.csv").read_bytes(), CSV


def _needs(command: str, package: str) -> None:
    if shutil.which(command) is None:
        pytest.skip(f"SKIPPED: {command} is not there (Debian: {package})")


_folder: list[str] = [""]
_TOOLS: tuple[Callable[[str], Written], ...] = (
    by_pandas, by_pandas_with_dates, by_pandas_to_excel, by_polars, by_polars_with_dates, by_duckdb, by_duckdb_to_json,
    by_openpyxl_as_text, by_readr, by_base_r, by_libreoffice,
)  # fmt: skip


@pytest.mark.parametrize("tool", _TOOLS, ids=lambda tool: tool.__name__.removeprefix("by_"))
def test_written_back_it_changes_nothing(
    filled: Api, database: Database, tmp_path: Path, tool: Callable[[str], Written]
) -> None:
    _folder[0] = str(tmp_path)
    before = {name: exported(filled, f"{name}.ndjson") for name in _FILES}
    for name in _FILES:
        content, media_type = tool(exported(filled, f"{name}.csv"))
        found = imported(filled, database, content, media_type)
        assert set(counted(found)) == {"unchanged"}, found
    assert {name: exported(filled, f"{name}.ndjson") for name in _FILES} == before


def by_pandas_json(text: str) -> str:
    frame = pandas.read_json(StringIO(text), lines=True, dtype=False, convert_dates=False)
    return str(frame.to_json(orient="records", lines=True))


def by_polars_json(text: str) -> str:
    return polars.read_ndjson(text.encode(), infer_schema_length=None).write_ndjson()


@pytest.mark.parametrize("tool", [by_pandas_json, by_polars_json])
def test_ndjson_written_back_changes_nothing(filled: Api, database: Database, tool: Callable[[str], str]) -> None:
    for name in _FILES:
        found = imported(filled, database, tool(exported(filled, f"{name}.ndjson")), NDJSON)
        assert set(counted(found)) == {"unchanged"}, found


def test_a_number_of_which_nobody_knows_what_it_was_is_refused(filled: Api, database: Database) -> None:
    """pandas makes milliseconds of instants; whether a number has seconds or milliseconds cannot be told."""
    frame = pandas.read_json(StringIO(exported(filled, "scores.ndjson")), lines=True)
    found = imported(filled, database, frame.to_json(orient="records", lines=True), NDJSON, "refused")
    assert {problem["column"] for problem in found["problems"]} == {"taken_at"}


def test_a_new_patient_is_not_made_of_a_number(filled: Api, database: Database) -> None:
    """0042 that came back as 42 is known by its id; without one it is another patient, or none."""
    frame = pandas.read_csv(StringIO(exported(filled, "patients.csv"))).drop(columns=["patient_id"])
    out = BytesIO()
    frame[["external_id"]].assign(external_id=[42, 43, 44, 45, 46, 47]).to_excel(out, index=False)
    found = imported(filled, database, out.getvalue(), XLSX, "refused")
    assert {problem["column"] for problem in found["problems"]} == {"external_id"}


def test_parquet_has_types(filled: Api, database: Database) -> None:
    out = BytesIO()

    def write(db: Any) -> None:
        zone = ZoneInfo("America/New_York")
        parquet_files.write(out, "scores", exporting.table(db, filled.clinic_id, zone, "scores", None))

    database.reading(filled.clinic_id, write)
    found = parquet.read_table(BytesIO(out.getvalue()))
    assert str(found.schema.field("taken_at").type) == "timestamp[us, tz=UTC]"
    assert str(found.schema.field("answers").type) == "list<element: int32>"
    assert found.num_rows == len(exported(filled, "scores.csv").splitlines()) - 1
    assert found.column("external_id").to_pylist().count("0042") == 5

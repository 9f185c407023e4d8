"""`holdfast import` and `holdfast export` do on a clinic's machine what the service does over HTTP."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from tests.house.test_command_line import clinic, command

__all__ = ["clinic"]

PATIENTS = "patient_id,external_id\n,A1\n,A2\n"
SCORES = (
    "external_id,taken_at,instrument,score\n"
    "A1,2026-03-01T10:00:00Z,phq-9,15\nA1,2026-03-04T10:00:00Z,phq-9,4\nA2,2026-03-01T10:00:00Z,gad-7,9\n"
)
MAPPING = "zone: UTC\npatient: {column: mrn}\ndate: {column: visit}\nscores: [{instrument: phq-9, total: phq_total}]\n"


def test_files_go_in_once_and_come_out_in_every_form(clinic: tuple[Settings, str], tmp_path: Path) -> None:
    settings, clinic_id = clinic

    def imported(name: str, content: str, *words: str) -> dict[str, Any]:
        (tmp_path / name).write_text(content)
        code, out, said = command("import", str(tmp_path / name), *words, settings=settings)
        assert code == 0, said
        found: dict[str, Any] = json.loads(out)
        return found

    assert imported("patients.csv", PATIENTS)["state"] == "done"
    assert imported("scores.csv", SCORES, "--dry-run")["dry_run"] is True
    assert imported("scores.csv", SCORES, "--clinic", clinic_id)["state"] == "done"
    imported("scores.csv", SCORES)
    (tmp_path / "clinic.yaml").write_text(MAPPING)
    mapped = "mrn,visit,phq_total\nA2,2026-03-09 09:00,11\n"
    assert imported("visits.csv", mapped, "--mapping", str(tmp_path / "clinic.yaml"))["state"] == "done"
    for form in ("csv", "ndjson", "parquet"):
        file = tmp_path / f"out.{form}"
        code, out, said = command("export", "scores", str(file), settings=settings)
        assert code == 0, said
        assert json.loads(out)["bytes"] == file.stat().st_size > 0
        assert file.stat().st_mode & 0o077 == 0, "nobody else may read it"
    with (tmp_path / "out.csv").open() as rows:
        assert sorted(float(row["score"]) for row in csv.DictReader(rows)) == [4, 9, 11, 15]
    later = tmp_path / "later.ndjson"
    assert command("export", "scores", str(later), "--since", "2099-01-01T00:00:00Z", settings=settings)[0] == 0
    assert later.read_text() == ""


def test_a_bad_line_refuses_the_file_without_saying_the_value(clinic: tuple[Settings, str], tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("external_id,taken_at,instrument,score\nA1,2026-03-05T10:00:00Z,phq-9,9471\n")
    code, out, said = command("import", str(file), settings=clinic[0])
    assert code != 0
    assert json.loads(out)["state"] == "refused"
    assert "line 2, score" in said
    assert "nothing was imported" in said
    assert "9471" not in out + said


@pytest.mark.parametrize(("name", "content", "said"), [
    ("own.csv", SCORES, "no mapping is needed"),
    ("visits.csv", "mrn,visit,phq9_total\nA1,2026-03-01,4\n", "A mapping for visits.csv"),
    ("export.csv", "record_id,redcap_event_name,visit_date,phq9_1\n7,a,2026-03-01,1\n", "extends: redcap"),
])  # fmt: skip
def test_sniffing_shows_how_a_file_would_be_read(name: str, content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    code, out, _ = command("import", str(tmp_path / name), "--sniff")
    assert code == 0
    assert said in out
    assert "#   " in out.partition("# The first ten rows")[2]


def test_what_cannot_be_done_is_said(clinic: tuple[Settings, str], tmp_path: Path) -> None:
    for name, content in (("empty.csv", ""), ("x.doc", "x"), ("here.csv", SCORES)):
        (tmp_path / name).write_text(content)
    nobody = "00000000-0000-7000-8000-000000000000"
    for words, rule in (
        (("import", "none.csv"), "no such file"),
        (("import", "empty.csv"), "is empty"),
        (("import", "x.doc"), "must end in one of"),
        (("import", "here.csv", "--clinic", nobody), "no such clinic"),
        (("export", "doses", "y.csv"), "must be one of"),
        (("export", "scores", "y.doc"), "must end in .csv"),
        (("export", "scores", "y.csv", "--since", "soon"), "since"),
    ):
        kind, *rest = words
        at = 0 if kind == "import" else 1
        rest[at] = str(tmp_path / rest[at])
        code, _, said = command(kind, *rest, settings=clinic[0])
        assert code != 0, words
        assert rule in said, (words, said)

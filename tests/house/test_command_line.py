"""What an operator types, and what is said when it cannot work: one sentence, no traceback, exit 2."""

import json
import os
import socket
import stat
import subprocess
import time
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import typer
from sqlalchemy import make_url, text
from typer.testing import CliRunner

from app.cli import cli, commands
from app.migrating import upgrade
from app.settings import Settings
from app.storage import NO_CLINIC, Database
from tests.alerts.test_mailing import Mailbox, mailbox
from tests.conftest import SECRET, free_port, fresh_settings
from tests.house.processes import HOLDFAST, PASSWORD, environment, run, serving

__all__ = ["mailbox"]


@pytest.fixture(scope="module")
def clinic(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, str]:
    settings = fresh_settings("sqlite", request, tmp_path_factory.mktemp("cli"))
    upgrade(settings)
    made = run(settings, "clinics", "add", "--name", "North", "--time-zone", "UTC", "--admin-email", "a@example.org",
               "--admin-password-stdin", stdin=f"{PASSWORD}\n")  # fmt: skip
    return settings, made["clinic_id"]


def command(*words: str, settings: Settings | None = None, stdin: str = "", **variables: Any) -> tuple[int, str, str]:
    """The exit code of a command, and what it says. What would go on running is a process of its own."""
    base = environment(settings) if settings else {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
    if words[0] in ("serve", "work", "demo"):
        done = subprocess.run([HOLDFAST, *words], env=base | variables, input=stdin, capture_output=True, text=True,
                              check=False)  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr.strip()
    said = CliRunner().invoke(cli, list(words), env=base | variables, input=stdin)
    assert said.exception is None or isinstance(said.exception, SystemExit), said.exception
    return said.exit_code, said.stdout, said.stderr.strip()


WRONG: list[tuple[dict[str, str], str]] = [
    ({"HOLDFAST_DATABASE_URL": "postgres://u:hidden@h/d"}, "must begin with sqlite:/// or postgresql://"),
    ({"HOLDFAST_DATABASE_URL": "postgresql://u:hidden@127.0.0.1:1/d"}, "does not answer"),
    ({"HOLDFAST_LOG_LEVEL": "loud"}, "HOLDFAST_LOG_LEVEL"),
    ({"HOLDFAST_SECRETKEY": "x"}, "HOLDFAST_SECRETKEY is not known: HOLDFAST_SECRET_KEY may be meant"),
    ({"HOLDFAST_SECRET_KEY": "short"}, "at least 32 characters"),
    ({"HOLDFAST_RATE_LIMIT": "-1"}, "HOLDFAST_RATE_LIMIT"),
    ({"HOLDFAST_DATABASE_URL": "postgresql://u:hidden@h:port/d"}, "must have a number as its port"),
    ({"HOLDFAST_DATABASE_URL": "sqlite:////proc/x.db"}, "/proc/x.db"),
    ({"HOLDFAST_TRUSTED_PROXIES": "proxy"}, "HOLDFAST_TRUSTED_PROXIES: must be IP addresses or networks"),
    ({"HOLDFAST_PUBLIC_URL": "clinic.example"}, "HOLDFAST_PUBLIC_URL: must begin with http:// or https://"),
    ({"HOLDFAST_ALLOWED_HOSTS": "http://x"}, "HOLDFAST_ALLOWED_HOSTS: must be names of hosts"),
    ({"HOLDFAST_CORS_ORIGINS": "x"}, "HOLDFAST_CORS_ORIGINS: must be origins"),
    ({"HOLDFAST_SMTP_URL": "hidden"}, "HOLDFAST_SMTP_URL: must begin with smtp://"),
    ({"HOLDFAST_NONSENSE": "x"}, "HOLDFAST_NONSENSE is not known"),
]


@pytest.mark.parametrize(("variables", "said"), WRONG, ids=[next(iter(v)) + str(n) for n, (v, _) in enumerate(WRONG)])
def test_what_is_wrong_with_the_settings_is_one_sentence(variables: dict[str, str], said: str, tmp_path: Path) -> None:
    given = {"HOLDFAST_SECRET_KEY": SECRET, "HOLDFAST_DATABASE_URL": f"sqlite:///{tmp_path}/h.db"} | variables
    said_of = CliRunner().invoke(cli, ["serve"], env=given)
    sentence = said_of.stderr.strip()
    assert (said_of.exit_code, "\n" in sentence) == (2, False)
    assert said in sentence
    assert "hidden" not in sentence


def test_a_port_of_metrics_that_is_in_use_a_wrong_host_and_an_unknown_clinic_are_one_sentence(
    clinic: tuple[Settings, str],
) -> None:
    settings, _ = clinic
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, _, said = command("serve", "--port", "18123", settings=settings, HOLDFAST_METRICS_PORT=port)
        assert (code, said) == (2, f"port {port} of 127.0.0.1 is in use: choose another with --port")
    code, _, said = command("serve", "--host", "nonsense.invalid", settings=settings)
    assert (code, said) == (2, "nonsense.invalid is no address of this machine: choose another with --host")
    nobody = "00000000-0000-0000-0000-000000000000"
    assert command("audit", "verify", "--clinic", nobody, settings=settings)[::2] == (2, "there is no such clinic")
    words = ("--time-zone", "UTC", "--admin-email", "b@example.org", "--admin-password-stdin")
    code, _, said = command("clinics", "add", "--name", "X\nY", *words, settings=settings, stdin=f"{PASSWORD}\n")
    assert (code, said) == (2, "name: must be one line of text")


def test_work_says_what_it_does(clinic: tuple[Settings, str]) -> None:
    settings, _ = clinic
    with subprocess.Popen([HOLDFAST, "work"], env=environment(settings), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        process.terminate()
    assert "background jobs: mail every 5 s, webhooks every 2 s, seal every 5 s, expire every 3600 s" in said
    assert "no mail server is set" in said


@pytest.mark.postgresql
def test_a_wrong_password_and_a_database_that_is_not_there_are_one_sentence(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = fresh_settings("postgresql", request, tmp_path)
    assert command("serve", settings=settings)[::2] == (
        2, "the database is not migrated: run `holdfast migrate` first",
    )  # fmt: skip
    url = make_url(settings.database_url).set(database="nowhere").render_as_string(hide_password=False)
    code, _, sentence = command("serve", settings=settings, HOLDFAST_DATABASE_URL=url)
    assert (code, sentence) == (2, "PostgreSQL has no database of the name that the database URL gives")
    url = make_url(settings.database_url).set(username="nobody_at_all").render_as_string(hide_password=False)
    code, _, sentence = command("serve", settings=settings, HOLDFAST_DATABASE_URL=url)
    assert (code, sentence) == (2, "PostgreSQL refuses the user or the password of the database URL")


@pytest.mark.postgresql
def test_several_processes_serve_one_database(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    settings = fresh_settings("postgresql", request, tmp_path)
    upgrade(settings)
    run(settings, "clinics", "add", "--name", "North", "--time-zone", "UTC", "--admin-email", "a@example.org",
        "--admin-password-stdin", stdin=f"{PASSWORD}\n")  # fmt: skip
    form = {"grant_type": "password", "username": "a@example.org", "password": PASSWORD}
    log = tmp_path / "log"
    with serving(settings, "--workers", "2", log=log) as address:
        token = httpx.post(f"{address}/oauth/token", data=form).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        database = Database(settings.database_url, SECRET)
        count, deadline = text("select count(*) from processes"), time.monotonic() + 60
        while database.reading(NO_CLINIC, lambda db: db.execute(count).scalar_one()) < 2:  # one starts after the other
            assert time.monotonic() < deadline
            time.sleep(0.2)
        for _ in range(10):  # each on a connection of its own, so on either process
            assert httpx.get(f"{address}/v1/me", headers=headers).status_code == 200
        database.close()
    assert "Traceback" not in log.read_text()


def test_a_damaged_or_unmigrated_file_does_not_start(tmp_path: Path) -> None:
    given: dict[str, Any] = {"HOLDFAST_SECRET_KEY": SECRET, "HOLDFAST_DATABASE_URL": f"sqlite:///{tmp_path}/h.db"}
    assert command("serve", **given)[::2] == (2, "the database is not migrated: run `holdfast migrate` first")
    (tmp_path / "h.db").write_text("this is no database, whatever its name says" * 50)
    for words in (("serve",), ("migrate",)):
        assert command(*words, **given)[::2] == (2, "the database file is damaged, or is no SQLite database")


@pytest.mark.parametrize("words", [
    ("serve", "--port", "70000"), ("serve", "--workers", "0"), ("demo", "--patients", "0"),
])  # fmt: skip
def test_options_out_of_range_are_refused(words: tuple[str, ...]) -> None:
    assert CliRunner().invoke(cli, list(words)).exit_code == 2


def test_a_port_in_use_is_said(clinic: tuple[Settings, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, _, sentence = command("serve", "--port", str(taken.getsockname()[1]), settings=clinic[0])
    assert code == 2
    assert "is in use: choose another with --port" in sentence


def test_lists_are_tables_for_people_and_json_for_scripts(clinic: tuple[Settings, str]) -> None:
    settings, clinic_id = clinic
    run(settings, "clients", "add", "--clinic", clinic_id, "--name", "EHR", "--scope", "patients:read")
    for words, field in (
        (("clinics", "list"), "clinic_id"),
        (("users", "list", "--clinic", clinic_id), "email"),
        (("clients", "list", "--clinic", clinic_id), "scope"),
    ):
        code, table, _ = command(*words, settings=settings)
        assert (code, len(table.splitlines())) == (0, 2)
        rows: list[dict[str, Any]] = json.loads(command(*words, "--json", settings=settings)[1])
        assert field in rows[0]
        assert rows[0]["created_at"].endswith("Z"), "as the contract writes moments"
    assert json.loads(command("devices", "list", "--clinic", clinic_id, "--json", settings=settings)[1]) == []
    assert command("users", "list", "--clinic", "01a22869-f6d5-72be-b73c-04f46379492f", settings=settings)[0] == 2


def test_a_person_is_disabled_but_for_the_last_administrator(clinic: tuple[Settings, str]) -> None:
    settings, clinic_id = clinic
    add = ("users", "add", "--clinic", clinic_id, "--role", "clinician", "--password-stdin")
    run(settings, *add, "--email", "c@example.org", stdin=f"{PASSWORD}\n")
    assert command("users", "disable", "--email", "C@example.org", settings=settings)[0] == 0
    users = json.loads(command("users", "list", "--clinic", clinic_id, "--json", settings=settings)[1])
    assert {u["email"]: u["disabled"] for u in users} == {"a@example.org": False, "c@example.org": True}
    assert command("users", "disable", "--email", "a@example.org", settings=settings)[0] == 2
    assert command("users", "disable", "--email", "z@example.org", settings=settings)[::2] == (
        2, "there is no such login",
    )  # fmt: skip


@pytest.mark.parametrize(("secret", "rule"), [
    ("password123", "must not be one of the most common passwords"),
    ("north-1234", "must not be the clinic's name"),
    ("d@example.org", "must not be the e-mail address"),
    ("short", "must have at least 8 characters"),
])  # fmt: skip
def test_guessable_passwords_are_refused(clinic: tuple[Settings, str], secret: str, rule: str) -> None:
    settings, clinic_id = clinic
    add = ("users", "add", "--clinic", clinic_id, "--role", "clinician", "--email", "d@example.org", "--password-stdin")
    code, _, sentence = command(*add, settings=settings, stdin=f"{secret}\n")
    assert code == 2
    assert rule in sentence


def test_check_says_all_that_is_wrong(clinic: tuple[Settings, str], tmp_path: Path) -> None:
    settings, _ = clinic
    code, said, _ = command("check", "--deep", settings=settings)
    assert (code, said.splitlines()[-1]) == (0, "nothing is wrong")
    database = Path(settings.database_url.removeprefix("sqlite:///"))
    database.chmod(0o644)
    wrong = {"HOLDFAST_SECRET_KEY": "x" * 40, "HOLDFAST_SMTP_URL": "smtp://127.0.0.1:1"}
    code, said, _ = command("check", settings=settings, **wrong)
    database.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert code == 2
    for part in ("file permissions: ", "secret: ", "mail: the server cannot be reached"):
        assert part in said
    code, said, _ = command("check", HOLDFAST_SECRET_KEY=SECRET, HOLDFAST_DATABASE_URL=f"sqlite:///{tmp_path}/h.db")
    assert (code, "not migrated" in said) == (2, True)


def test_a_test_mail_reaches_its_reader(clinic: tuple[Settings, str], mailbox: tuple[Mailbox, str]) -> None:
    box, url = mailbox
    assert command("mail", "test", "--to", "me@example.org", settings=clinic[0], HOLDFAST_SMTP_URL=url)[0] == 0
    assert box.told == ["me@example.org"]
    code, said, _ = command("check", settings=clinic[0], HOLDFAST_SMTP_URL=url)
    assert (code, said.strip()) == (0, "nothing is wrong"), "a server that answers, and gets no mail"
    assert box.told == ["me@example.org"]
    assert command("mail", "test", "--to", "me@example.org", settings=clinic[0])[0] == 2


def test_backup_restore_and_rotation_by_command(
    clinic: tuple[Settings, str], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings, clinic_id = clinic
    file = tmp_path / "b.holdfast"
    assert str(run(settings, "backup", str(file))["clinics"]) == "1"
    assert command("backup", str(file), settings=settings)[0] == 2, "no backup is overwritten"
    target = fresh_settings("sqlite", request, tmp_path / "again")
    restored = run(target, "restore", str(file), "--verify")
    assert str(restored["verified"]) == "True"
    assert command("restore", str(file), settings=target)[0] == 2
    code, said, _ = command("audit", "verify", settings=target)
    assert (code, clinic_id in said) == (0, True)
    new = {"HOLDFAST_SECRET_KEY": "n" * 40, "HOLDFAST_PREVIOUS_SECRET_KEY": SECRET}
    swapped = {"HOLDFAST_SECRET_KEY": SECRET, "HOLDFAST_PREVIOUS_SECRET_KEY": "n" * 40}
    assert command("keys", "rotate", settings=target, **swapped)[0] == 2, "the new one is not known yet"
    code, said, warned = command("keys", "rotate", settings=target, **new)
    assert (code, json.loads(said)["unreadable"], "need the old secret" in warned) == (0, 0, True)
    assert command("keys", "rotate", settings=target, **new)[0] == 0, "once more does no harm"
    assert command("clinics", "list", settings=target)[0] == 2
    assert command("clinics", "list", settings=target, HOLDFAST_SECRET_KEY="n" * 40)[0] == 0


@pytest.mark.parametrize(("words", "said"), [
    (["alerts", "backfill", "--clinic", "{no}"], "there is no such clinic"),
    (["audit", "verify", "--clinic", "{no}"], "there is no such clinic"),
    (["audit", "verify", "--seal", "a:b"], "seal: must be clinic:number:mac"),
    (["audit", "acknowledge", "--clinic", "{clinic}", "--event", "{no}", "--reason", " "], "reason: must not be empty"),
    (["audit", "acknowledge", "--clinic", "{clinic}", "--event", "{no}", "--reason", "a clock"],
     "there is no such event"),
    (["users", "add", "--clinic", "{clinic}", "--email", "x@example.org", "--role", "boss", "--password-stdin"],
     "role: must be admin or clinician"),
    (["users", "add", "--clinic", "{clinic}", "--email", "x", "--role", "admin", "--password-stdin"],
     "email: must be an e-mail address"),
    (["users", "add", "--clinic", "{no}", "--email", "x@example.org", "--role", "admin", "--password-stdin"],
     "there is no such clinic"),
    (["users", "add", "--clinic", "{clinic}", "--email", "x@example.org", "--role", "admin"], "on standard input"),
    (["backup", "/no such folder/b.holdfast"], "cannot be written"),
    (["restore", "/dev/null"], ""),
])  # fmt: skip
def test_a_command_that_is_used_wrongly_ends_with_one_sentence(
    clinic: tuple[Settings, str], words: list[str], said: str
) -> None:
    settings, clinic_id = clinic
    filled = [word.format(no=uuid4(), clinic=clinic_id) for word in words]
    code, _, sentence = command(*filled, settings=settings, stdin="a long sentence of mine\n")
    assert code == 2
    assert said.lower() in sentence.lower()
    assert "\n" not in sentence


def test_an_event_out_of_time_is_acknowledged_with_its_reason(clinic: tuple[Settings, str]) -> None:
    settings, clinic_id = clinic
    database = Database(settings.database_url, SECRET)
    try:
        query = "select id from audit_events limit 1"
        event = database.reading(UUID(clinic_id), lambda db: db.execute(text(query)).scalar_one())
    finally:
        database.close()
    event_id = str(UUID(bytes=event) if isinstance(event, bytes) else event)
    words = ("--clinic", clinic_id, "--event", event_id, "--reason", "a clock was ahead")
    code, said, _ = command("audit", "acknowledge", *words, settings=settings)
    assert (code, json.loads(said)) == (0, {"acknowledged": 1})
    assert command("audit", "verify", "--clinic", clinic_id, settings=settings)[0] == 0


def test_a_mail_server_that_does_not_answer_is_told(clinic: tuple[Settings, str]) -> None:
    nobody = {"HOLDFAST_SMTP_URL": f"smtp://127.0.0.1:{free_port()}"}
    code, _, said = command("mail", "test", "--to", "me@example.org", settings=clinic[0], **nobody)
    assert (code, "did not take the message" in said) == (2, True)


def test_the_version_and_the_help_are_told() -> None:
    assert command("--version")[1].startswith("holdfast ")
    for words in ((), ("keys", "rotate"), ("users", "add")):
        code, said, _ = command(*words, "--help")
        assert code == 0
        assert len(said) > 200


def test_what_help_says_of_a_command_is_what_the_command_says() -> None:
    """Help is told without loading the commands."""
    for name, (module, said) in commands._COMMANDS.items():
        found = getattr(import_module(f"app.cli.{module}"), f"{name}_" if iskeyword(name) else name)
        own = found.info.help if isinstance(found, typer.Typer) else found.__doc__
        assert said == str(own).strip().split("\n\n")[0].replace("\n    ", " ")

"""What every command begins and ends with: the settings, the database, an answer, or one sentence of what is wrong."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from getpass import getpass
from typing import Any, NoReturn

import typer
from pydantic import ValidationError

from app import clock, revisions
from app.errors import Problem
from app.settings import Settings, unknown_variables
from app.storage import Database, DatabaseError, WrongSecretError, sentence_of

WRONG_USE = 2
JsonOption = typer.Option("--json", help="As JSON, for scripts")


def fail_with(error: Exception) -> None:
    """Ends the command with one sentence about an error that has one; returns for others."""
    match error:
        case Problem():
            fail("; ".join(f"{fault.name}: {fault.detail}" for fault in error.errors) or error.detail)
        case DatabaseError():
            fail(sentence_of(error))
        case OSError():
            fail(_file_fault(error))
        case WrongSecretError() | revisions.MigrationError():
            fail(str(error))


def settings() -> Settings:
    """The settings from the environment. An error names the variable but not its value."""
    try:
        found = Settings()
    except ValidationError as error:
        wrong = [(f"HOLDFAST_{e['loc'][0]}: ".upper() if e["loc"] else "") + _rule(e) for e in error.errors()]
        fail("; ".join([*wrong, *unknown_variables(os.environ)]))
    except OSError as error:
        fail(_file_fault(error))
    unknown = list(unknown_variables(os.environ))
    if unknown:
        fail("; ".join(unknown))
    return found


def _file_fault(error: OSError) -> str:
    return f"{error.filename or 'the system'}: {error.strerror or type(error).__name__}"


def _rule(error: Mapping[str, Any]) -> str:
    return str(error["msg"]).removeprefix("Value error, ")


@contextmanager
def database(found: Settings | None = None) -> Iterator[Database]:
    """The configured database for one command, once its schema and its secret are found to be right."""
    given = found or settings()
    opened = Database(given.database_url, *given.secrets)
    try:
        behind = revisions.why_not_current(opened)
        if behind is not None:
            fail(behind)
        opened.unlock(clock.now())
        yield opened
    finally:
        opened.close()


def password(from_stdin: bool, option: str) -> str:
    """Reads a password from standard input, to keep it out of histories; typed at a terminal, not echoed."""
    if not from_stdin:
        fail(f"give the password on standard input with {option}")
    if sys.stdin.isatty():
        return getpass("Password: ")
    return sys.stdin.readline().rstrip("\r\n")


def told(label: str) -> Callable[[str], None]:
    """Says how far a long work has come: on a terminal's standard error, in place."""

    def say(how_far: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{label}: {how_far}\033[K", end="", file=sys.stderr, flush=True)

    return say


def answer(**values: object) -> None:
    """Prints one JSON object."""
    print(
        json.dumps({name: value if isinstance(value, int | float) else _plain(value) for name, value in values.items()})
    )


def table(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    """Prints rows for people, or as a JSON array for scripts."""
    if as_json:
        print(json.dumps(rows, default=_plain))
        return
    if not rows:
        print("none")
        return
    shown = [[name.replace("_", " ") for name in rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(row[place]) for row in shown) for place in range(len(rows[0]))]
    for row in shown:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    return "" if value is None else _plain(value)


def _plain(value: object) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def fail(sentence: str, code: int = WRONG_USE) -> NoReturn:
    """Ends the command with one sentence on standard error."""
    print(sentence, file=sys.stderr)
    raise typer.Exit(code)

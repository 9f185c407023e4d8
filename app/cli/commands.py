"""All commands, by the nouns they are about."""

from importlib.metadata import version
from typing import Annotated

import typer

from app.cli import checking, clinics, keeping, records, serving
from app.cli.opening import Commands

cli = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Records mood, anxiety and pain scores per infusion session, and answers: is the relief still holding?",
    epilog="Settings are read from variables whose names begin with HOLDFAST_, or from .env: see docs/operating.md.",
)


def _version(asked: bool) -> None:
    if asked:
        print(f"holdfast {version('holdfast')}")
        raise typer.Exit


@cli.callback()
def main(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit")
    ] = False,
) -> None:
    """Records mood, anxiety and pain scores per infusion session, and answers: is the relief still holding?"""


for _command in (
    serving.migrate, serving.serve, serving.work, serving.demo, checking.check, keeping.backup, keeping.restore,
):  # fmt: skip
    cli.command()(_command)
for _name, _group in (
    ("clinics", clinics.clinics), ("users", clinics.users), ("clients", clinics.clients),
    ("devices", clinics.devices), ("alerts", records.alerts), ("audit", records.audit), ("keys", keeping.keys),
    ("mail", records.mail),
):  # fmt: skip
    cli.add_typer(_group, name=_name)

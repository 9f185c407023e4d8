"""All commands, by the nouns they are about. The module of a command is imported when it is run, so help is quick."""

import gc
from importlib import import_module
from importlib.metadata import version
from keyword import iskeyword
from typing import Annotated, Any

import typer

# Each command's module, and the first sentence of its help.
_COMMANDS = {
    "migrate": ("filling", "Apply migrations, and grant the service's role what it needs."),
    "serve": ("serving", "Serve the API."),
    "work": ("serving", "Run background jobs until interrupted: mail, seals of the audit log, and hourly cleaning."),
    "demo": (
        "filling",
        "Fill a synthetic clinic in ./data/demo.db, print how to use it, and serve it on 127.0.0.1.",
    ),
    "check": ("checking", "Say all that can be wrong before serving, a line each; exit with 2 if anything is."),
    "backup": ("keeping", "Write a backup of everything, from one snapshot, while the service runs."),
    "restore": (
        "keeping",
        "Put a backup into an empty database, and migrate that first. Refuses a database that holds a clinic.",
    ),
    "import": ("files", "Import scores, sessions or patients from a file: in our own layout, or by a mapping."),
    "export": (
        "files",
        "Export scores, sessions or patients to a file: what stands, as CSV or Parquet, or every version, as NDJSON.",
    ),
    "clinics": ("clinics", "Clinics."),
    "users": ("clinics", "People with a login."),
    "clients": ("clinics", "Integrations."),
    "devices": ("clinics", "Patients' own devices."),
    "alerts": ("records", "Alerts."),
    "audit": ("records", "The audit log."),
    "keys": ("keeping", "The service's secret."),
    "mail": ("records", "Mail about urgent alerts."),
}


class Commands(typer.core.TyperGroup):
    """Commands whose errors are one sentence, without a traceback and without a value of a patient."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, found, rest = super().resolve_command(ctx, args)
        return name, found if name is None else _loaded(name), rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            import_module("app.cli.opening").fail_with(error)
            raise


def _loaded(name: str) -> Any:
    """The command itself, out of its module."""
    # What is imported stays, so that looking for garbage among it costs a sixth of the start and finds none.
    gc.disable()
    try:
        # `import` is a word of Python, which cannot name a function.
        found = getattr(import_module(f"app.cli.{_COMMANDS[name][0]}"), f"{name}_" if iskeyword(name) else name)
    finally:
        gc.freeze()
        gc.enable()
    if isinstance(found, typer.Typer):
        return typer.main.get_group(found)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name)(found)
    return typer.main.get_command(alone)


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


def _told() -> None:
    """Stands for a command in the list of all: `_loaded` puts the command itself in its place."""


for _name, (_, _help) in _COMMANDS.items():
    cli.command(_name, help=_help)(_told)

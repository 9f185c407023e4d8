"""The `holdfast` command."""

from app.cli.commands import cli
from app.cli.serving import served

__all__ = ["cli", "served"]

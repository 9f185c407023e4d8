"""The `holdfast` command."""

from app.cli.commands import cli

__all__ = ["cli"]

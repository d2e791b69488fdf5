"""``keel help`` and ``keel --version``."""

from __future__ import annotations

from typing import Annotated

import typer

from keel.version import __version__

VERSION = "Show the version."


def help_(
    command: Annotated[str | None, typer.Argument(help="A command, e.g. run; default: all of them.")] = None,
    context: typer.Context = None,  # type: ignore[assignment]
) -> None:
    """Show what a command does and its arguments: `keel help run` is `keel run --help`."""
    assert context.parent is not None
    whole = context.parent.command
    whole.main(([command] if command else []) + ["--help"], prog_name=context.parent.info_name)


def print_version(asked: bool) -> None:
    """Print the version and end, if asked to."""
    if asked:
        typer.echo(f"keel {__version__}")
        raise typer.Exit

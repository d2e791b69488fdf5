"""``keel study``: many runs, one result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keel.commands.where import Scheduler, Workers
from keel.files import Output


def study(
    folder: Annotated[Path, typer.Argument(help="Folder of configurations (*.yaml).", metavar="DIR")],
    out: Annotated[
        Path | None,
        Output(folder=True),
        typer.Option(help="Folder for the run folders, tables and figures; default: runs/ and DIR's name."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data files; default: as in the configurations.")
    ] = None,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    status: Annotated[bool, typer.Option("--status", help="Only show what has been done.")] = False,
) -> None:
    """Perform `keel run` for every configuration in a folder; write tables, figures and a page about all of them.

    This may take days: stop it at any time, and the same command continues. Each run also writes its own report, and
    `keel report` writes the page for what is done so far.

    Example: keel study examples/study/laptop --data ../shared/data --workers 2
    """
    from keel.progress import console
    from keel.workflow.study import members, progress_table
    from keel.workflow.study import study as perform

    runs = members(folder, out or Path("runs") / folder.resolve().name, data)
    if status:
        console.print(progress_table(runs))
        return
    typer.echo(f"page: {perform(runs, workers=workers, scheduler=scheduler)}")

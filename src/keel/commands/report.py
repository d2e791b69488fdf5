"""``keel report``: write the report of a run folder again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keel.files import Output


def report(
    run: Annotated[Path, typer.Argument(help="A folder written by `keel run` or `keel study`.", metavar="RUN")],
    out: Annotated[
        Path | None,
        Output(folder=None),
        typer.Option(help="HTML file, or a folder for it and its figures; default: the run folder."),
    ] = None,
) -> None:
    """Write the report of a finished run again: one HTML file, and each figure as PNG, PDF and CSV.

    The page needs no internet and no other files: send it by mail, open it on a phone, print it. For a study, finished
    or not, or its tables alone, it writes CSV tables, figures, and a page in Markdown; --out is then a folder.

    Example: keel report runs/silica --out /tmp/silica.html
    """
    from keel.reporting import write_report
    from keel.reporting.study import is_study, write_study

    typer.echo(write_study(run, out) if is_study(run) else write_report(run, out))

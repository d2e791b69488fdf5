"""How commands that judge end on the terminal: a short table, the verdict, what to do next, and last the path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from keel.reporting.run.judgement import Judgement
    from keel.reporting.run.tables import Table

JUDGED_BAD = 1
"""Exit code of --strict where something that was judged failed."""
WIDTH = 160
"""Columns of a table in a log file."""

Strict = Annotated[
    bool, typer.Option("--strict", help="Exit with code 1 if a probe fails, or nothing was learnt; for scripts.")
]


def end_run(folder: Path, report: Path, *, strict: bool = False) -> None:
    """Say what a run has found, which potential to take and how to use it; the page says the same.

    Raises
    ------
    typer.Exit
        If ``strict`` and a network has learnt nothing.
    """
    from keel.reporting.run.judgement import judgements, nothing_learnt, short_table
    from keel.results.run import load_results

    results = load_results(folder)
    found = judgements(results)
    show_table(short_table(found))
    for judgement in found:
        first, *_ = judgement.findings
        typer.echo(f"{judgement.network}: {first.label.lower()}. {first.sentence} {judgement.next_step}")
    typer.echo()
    for line in _use(folder, found):
        typer.echo(line)
    typer.echo(f"report: {report}")
    leave(bad=bool(nothing_learnt(found)), strict=strict)


def show_table(table: Table) -> None:
    """Print a table whose first columns are text."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as Shown

    console = Console(highlight=False, width=None if Console().is_terminal else WIDTH)
    shown = Shown(box=box.SIMPLE, padding=(0, 1, 0, 0), caption=table.caption, caption_justify="left")
    for name, cells in zip(table.head, zip(*table.rows, strict=True), strict=True):
        shown.add_column(name, justify="right" if all(cell[:1] in "0123456789>–" for cell in cells) else "left")
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown)


def leave(*, bad: bool, strict: bool) -> None:
    """Exit with :data:`JUDGED_BAD` if something failed and that is to be told by the exit code."""
    if bad and strict:
        raise typer.Exit(JUDGED_BAD)


def _use(folder: Path, found: Sequence[Judgement]) -> list[str]:
    """Return which potential to take, why, and lines that use it."""
    from keel.reporting.run.winner import RULE, exportable, uses, winners
    from keel.results.index import RunIndex
    from keel.results.named import name_all

    files = name_all(folder, RunIndex.read(folder))
    chosen = [winner for winner in winners(found) if winner.name in files]
    if not chosen:
        return []
    teacher = exportable(folder, files)
    lines = uses(folder / files[chosen[0].name], None if teacher is None else folder / teacher)
    width = max(len(what) for what, _ in lines)
    others = "".join(f", or {winner.sentence}" for winner in chosen[1:])
    return [f"Take {chosen[0].sentence}{others}. {RULE}", *(f"  {what:{width}}  {line}" for what, line in lines)]

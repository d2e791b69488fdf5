"""What commands that judge print at the end: a short table, the verdict, what to do next, and last the path."""

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
    """Print what a run has found, which potential to use and how; the page says the same.

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
        say(f"{judgement.network}: {first.label.lower()}. {first.sentence} {judgement.next_step}\n")
    for line in _use(folder, found):
        say(line)
    typer.echo(f"report: {report}")
    leave(bad=bool(nothing_learnt(found)), strict=strict)


def end_assessment(page: Path, *, strict: bool = False) -> None:
    """Print how many probes each potential passed, whether it can be trusted, and how several differ.

    Raises
    ------
    typer.Exit
        If ``strict`` and a probe failed, or a potential has learnt nothing.
    """
    from keel.reporting.assessment.advice import counts, next_step
    from keel.reporting.assessment.pairs import comparisons
    from keel.results.assessment import read_assessments
    from keel.wording import typeset

    assessments = read_assessments(page.with_suffix(".json"))
    show_table(counts(assessments))
    for pair in comparisons(assessments):
        say(f"{pair.verdict} {pair.choice}".rstrip() + "\n")
    for a in assessments:
        whose = f"{a.potential}: " if len(assessments) > 1 else ""
        say(typeset(f"{whose}{a.verdict} {a.unjudged}".rstrip() + f" {next_step(a)}\n"))
    typer.echo(f"page: {page}")
    leave(bad=any(a.outcome == "failed" for a in assessments), strict=strict)


def show_table(table: Table) -> None:
    """Print a table whose first columns are text."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as Shown

    console = Console(highlight=False)
    console.width = console.width if console.is_terminal else WIDTH
    shown = Shown(box=box.SIMPLE, padding=(0, 1, 0, 0), caption=table.caption, caption_justify="left")
    for name, cells in zip(table.head, zip(*table.rows, strict=True), strict=True):
        shown.add_column(name, justify="right" if all(cell[:1] in "0123456789>–" for cell in cells) else "left")
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown)


def say(text: str) -> None:
    """Print a sentence, wrapped between words on a terminal, not in a file."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    console.print(text, soft_wrap=not console.is_terminal)


def leave(*, bad: bool, strict: bool) -> None:
    """Exit with :data:`JUDGED_BAD` if something failed and the exit code is to show it."""
    if bad and strict:
        raise typer.Exit(JUDGED_BAD)


def _use(folder: Path, found: Sequence[Judgement]) -> list[str]:
    """Return which potential to use, why, and commands that use it."""
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
    return [f"Use {chosen[0].sentence}{others}. {RULE}", *(f"  {what:{width}}  {line}" for what, line in lines)]

"""Progress of long work on the terminal: a bar on a terminal, nothing in a log file."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from keel.counting import counted
from keel.errors import KeelWarning
from keel.wording import duration

console = Console(stderr=True, highlight=False)
JUDGED, LONG = 10.0, 3600.0
"""Seconds after which the duration of a task is estimated from its pace, and beyond which the estimate is shown."""
_bars = True
_left: Callable[[], float] | None = None
OFTEN = 0.2
"""Seconds between two updates of a bar."""


def without_bars() -> None:
    """Show no bars in this process: several at once would overwrite each other."""
    global _bars
    _bars = False


@contextmanager
def showing_left(left: Callable[[], float] | None) -> Iterator[None]:
    """Within this block bars show how much time is left of all work; ``left`` gives the seconds, None: not known."""
    global _left
    _left = left
    try:
        yield
    finally:
        _left = None


def plain_warnings() -> None:
    """Print keel's own warnings as one sentence, and none of other packages, which are for developers."""

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        if issubclass(category, KeelWarning):
            console.print(f"     note  {message}", soft_wrap=True)

    warnings.showwarning = show


class Advance(Protocol):
    """Moves the bar."""

    def __call__(self, done: int, total: int, remark: str = "") -> None:
        """Report the amount done and the total."""


@contextmanager
def bar(title: str, total: int = 0) -> Iterator[Advance]:
    """Show a bar while the block runs; call the function it yields with (done, total, remark).

    For work that will take more than an hour at its pace, this is shown once, also in a log; not in a run, which has
    its plan.

    Parameters
    ----------
    title
        What is being done.
    total
        Number of steps; 0 while unknown. Unless there is another remark, the number of structures evaluated by
        potentials is shown: some steps are long.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[remark]}"),
    )
    # Transient: the line that stays is the one on how the work ended.
    with Progress(*columns, console=console, transient=True, disable=not (_bars and console.is_terminal)) as progress:
        task = progress.add_task(title, total=total or None, remark="")
        begun, left = time.monotonic(), None if _left is None or progress.disable else _left()
        pace = _Pace(title.strip()) if _left is None else None

        evaluated, shown, known = 0, begun, ""

        def show(done: int | None = None, total: int | None = None) -> None:
            parts = [known or (f"{evaluated:,} structures" if evaluated else "")]
            if left is not None:
                parts.append(f"of all {duration(max(0.0, left - (time.monotonic() - begun)))} left")
            progress.update(task, completed=done, total=total, remark="; ".join(filter(None, parts)))

        def advance(done: int, total: int, remark: str = "") -> None:
            nonlocal known
            known = remark
            if pace is not None:
                pace.judge(done, total)
            show(done, total)

        def count(structures: int) -> None:
            nonlocal evaluated, shown
            evaluated += structures
            if (now := time.monotonic()) - shown > OFTEN:
                shown = now
                show()

        with nullcontext() if progress.disable else counted(count):
            yield advance


class _Pace:
    """Prints once how long some work takes, if that is long."""

    def __init__(self, title: str) -> None:
        self.title, self.first, self.judged = title, (0, 0.0), False

    def judge(self, done: int, total: int) -> None:
        # From the first report on: before it code is loaded and compiled, or the work was done earlier.
        now, (before, begun) = time.monotonic(), self.first
        if not begun:
            self.first = (done, now)
        elif not self.judged and now - begun > JUDGED and done > before:
            self.judged = True
            whole = (now - begun) / (done - before) * (total - before)
            if whole > LONG:
                console.print(
                    f"     note  {self.title}: at this pace the {total - before:,} steps take {duration(whole)}; "
                    "stop with Ctrl-C",
                    soft_wrap=True,
                )

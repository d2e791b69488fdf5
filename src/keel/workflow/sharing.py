"""Folders of tasks, in which one process continues after another, or several share the work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keel.locks import shared
from keel.progress import console


@contextmanager
def working_in(root: Path, *, begun: bool) -> Iterator[None]:
    """Work in a folder while the block runs; report whether work is continued there, and whether others work there too.

    Parameters
    ----------
    root
        The folder, created if necessary.
    begun
        Whether tasks have been done there before.
    """
    if begun:
        console.print(f"continuing in {root}; finished tasks are kept", soft_wrap=True)
    root.mkdir(parents=True, exist_ok=True)
    with shared(root / ".in-use", lambda: _clear(root), lambda: _report_sharing(root)):
        yield


def _clear(root: Path) -> None:
    """Delete files that killed processes were writing; nothing refers to them."""
    for unfinished in root.rglob(".writing-*"):
        unfinished.unlink(missing_ok=True)


def _report_sharing(root: Path) -> None:
    console.print(
        f"     note  another keel works in {root}: the two share the tasks, and no task is done twice", soft_wrap=True
    )

"""Counting evaluated structures, for progress bars of unknown length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_counters: list[Callable[[int], None]] = []


def count(structures: int) -> None:
    """Report that this many structures are being evaluated; potentials call it."""
    for counter in _counters:
        counter(structures)


@contextmanager
def counted(counter: Callable[[int], None]) -> Iterator[None]:
    """Call ``counter`` with the number of structures of every evaluation within the block."""
    _counters.append(counter)
    try:
        yield
    finally:
        _counters.remove(counter)

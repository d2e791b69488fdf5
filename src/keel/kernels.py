"""Whether kernels run: loading Numba and its code takes a second, which a few evaluations do not repay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

PAYS_FROM = 3_000
"""Atoms times evaluations; with fewer, tensors take less than half of the second that loading the kernels does."""

_run = ContextVar("kernels run", default=True)


def kernels_run() -> bool:
    """Return whether kernels may run here; tensors do the same work where they may not."""
    return _run.get()


@contextmanager
def kernels_if_they_pay(evaluations: float) -> Iterator[None]:
    """Run kernels within this block only if there is enough to do; see :data:`PAYS_FROM`.

    What was loaded before makes no difference, so that a piece of work has the same result whatever the process did.

    Parameters
    ----------
    evaluations
        The work ahead: atoms times evaluations of each.
    """
    token = _run.set(_run.get() and evaluations >= PAYS_FROM)
    try:
        yield
    finally:
        _run.reset(token)

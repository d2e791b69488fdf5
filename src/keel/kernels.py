"""Whether kernels run: loading Numba and its code takes a second, which does not pay for a few evaluations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

PAYS_FROM = 3_000
"""Atoms times evaluations; with fewer, tensors take less than half of the time of loading the kernels."""

_run = ContextVar("kernels run", default=True)


def kernels_run() -> bool:
    """Return whether kernels may run here; tensors do the same work where they may not."""
    return _run.get()


@contextmanager
def kernels_if_they_pay(evaluations: float) -> Iterator[None]:
    """Use kernels within this block only if there is enough to do; see :data:`PAYS_FROM`.

    Code loaded earlier makes no difference, so that the result does not depend on what the process did before.

    Parameters
    ----------
    evaluations
        The work: atoms times evaluations of each.
    """
    token = _run.set(_run.get() and evaluations >= PAYS_FROM)
    try:
        yield
    finally:
        _run.reset(token)

"""A training with a folder: one process at a time, which reports where it continues."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from keel.errors import DataError
from keel.launch import is_first
from keel.locks import locked
from keel.progress import console

P = ParamSpec("P")
T = TypeVar("T")


def one_at_a_time(work: Callable[P, T]) -> Callable[P, T]:
    """Make ``work(..., folder=...)`` wait while another process does it in the same folder.

    In a job of several processes the first waits for all: the others join it when it has begun.
    """

    @wraps(work)
    def alone(*args: P.args, **kwargs: P.kwargs) -> T:
        folder = kwargs.get("folder")
        if folder is None or not is_first():
            return work(*args, **kwargs)
        place = Path(str(folder))
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{place}: the folder cannot be made ({error.strerror})") from None
        with locked(place / ".in-use", lambda holder: _say_that_waiting(place, holder), passing=True):
            return work(*args, **kwargs)

    return alone


def say_where(folder: Path, taken: int, total: int, *, ended: bool) -> None:
    """Report from which step a stopped training continues, or that it is finished."""
    said = f"already trained, for {taken} steps" if ended else f"continuing from step {taken} of {total}"
    console.print(f"     note  {folder}: {said}", soft_wrap=True)


def _say_that_waiting(folder: Path, holder: str) -> None:
    console.print(f"     note  waiting for another keel that is training in {folder} ({holder})", soft_wrap=True)

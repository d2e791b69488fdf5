"""Tasks whose results are kept under a hash of their inputs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from keel.identity import of_text
from keel.locks import locked
from keel.progress import console
from keel.records import read_object, write_json
from keel.wording import duration

Item = TypeVar("Item")
Result = TypeVar("Result")

FORMATS: Mapping[str, int] = {
    "data": 1,
    "teacher": 1,
    "train": 1,
    "rung": 1,
    "accuracy": 1,
    "stability": 1,
    "rdf": 1,
    "dimers": 1,
    "squeeze": 1,
    "contacts": 1,
    "probes": 1,
}
"""What a task of each kind does, as a number kept by hand: it is raised when the same inputs give another result, so
that results of before are made again, and of no other cause."""
FIRST = {"keel": "0.1.0"}
"""What stands for format 1 in the hash of a task: the release that it came with."""


class NotDoneError(Exception):
    """A task that one only looks for is not done."""


class TakenError(Exception):
    """Another process does the task now."""


_wait = ContextVar("wait", default=True)


@contextmanager
def not_waiting() -> Iterator[None]:
    """Within this block a task that another process does raises :class:`TakenError` instead of being waited for."""
    token = _wait.set(False)
    try:
        yield
    finally:
        _wait.reset(token)


def done(task: Callable[[Item], Result], item: Item, wait: bool) -> Result | TakenError:
    """Return ``task(item)``; unless one waits, the error that another keel does it now."""
    if wait:
        return task(item)
    try:
        with not_waiting():
            return task(item)
    except TakenError as taken:
        return taken


class TaskCache:
    """Does a task once for given inputs, each in its own folder ``stages/KIND/NAME-HASH`` of a run.

    A task is done when its folder holds ``done.json``, which is written last. A task that was interrupted is done
    again in its folder, where it may find what it had stored. Changing a setting and changing it back finds the
    first result. Of several processes one does a task, and the others wait for it.

    Parameters
    ----------
    root
        The run folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left: Callable[[], float] | None = None
        """Seconds that are left of the run, where somebody knows."""
        self._looking = False

    def task(self, kind: str, name: str, inputs: Mapping[str, Any], work: Callable[[Path], None]) -> Path:
        """Return the folder of a finished task, calling ``work(folder)`` if it is not there yet.

        ``inputs`` is JSON-compatible and holds all that the result depends on; folders of earlier tasks stand for
        their results, because their names carry the hash of their inputs.
        """
        text = described(kind, name, inputs)
        folder = self.root / "stages" / kind / f"{name}-{of_text(text)[:10]}"
        done = folder / "done.json"
        if done.is_file():
            return folder
        if self._looking:
            raise NotDoneError(f"{kind} {name}")
        folder.mkdir(parents=True, exist_ok=True)
        lock = folder / ".lock"
        with locked(lock, lambda holder: _held(f"{kind} {name}", holder)):
            if not done.is_file():  # by whom was waited for
                self._do(folder, work, json.loads(text))
                left = f", {duration(self.left())} left" if self.left else ""
                console.print(f"{kind:>9}  {name}  [dim]{seconds_of(folder):.1f} s{left}", soft_wrap=True)
            # Who has opened this file before finds the task done.
            lock.unlink(missing_ok=True)
        return folder

    def _do(self, folder: Path, work: Callable[[Path], None], inputs: Mapping[str, Any]) -> None:
        stopped = folder / "stopped.json"
        # A task that goes on after an error or Ctrl-C has taken the time before it too.
        started = time.perf_counter() - (_seconds(stopped) if stopped.is_file() else 0.0)
        try:
            work(folder)
        except BaseException:
            write_json(stopped, {"seconds": round(time.perf_counter() - started, 3)})
            raise
        stopped.unlink(missing_ok=True)
        seconds = time.perf_counter() - started
        write_json(folder / "done.json", {"seconds": round(seconds, 3), "inputs": inputs})

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Within this block a task that is not done raises :class:`NotDoneError` instead of being done."""
        self._looking = True
        try:
            yield
        finally:
            self._looking = False


def _held(task: str, holder: str) -> None:
    if not _wait.get():
        raise TakenError(task)
    console.print(f"     note  waiting for {task}, which another keel is making ({holder})", soft_wrap=True)


def described(kind: str, name: str, inputs: Mapping[str, Any]) -> str:
    """Return all that the result of a task depends on, as the text whose hash names its folder."""
    number = FORMATS[kind]
    stamp = FIRST if number == 1 else {"format": number}
    return json.dumps({**stamp, "kind": kind, "name": name, **inputs}, sort_keys=True, default=str)


def seconds_of(folder: Path) -> float:
    """Return how long a finished task took, with what was done before it was stopped (not killed) and went on."""
    return _seconds(folder / "done.json")


def _seconds(path: Path) -> float:
    return float(read_object(path, ("seconds",), f"delete {path.parent} to do it again")["seconds"])

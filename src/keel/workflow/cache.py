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
"""Version of each kind of task, set by hand: raised only if the same inputs give a different result, so that earlier
results are redone."""
FIRST = {"keel": "0.1.0"}
"""What represents format 1 in the hash of a task: the release that introduced it."""


class NotDoneError(Exception):
    """A task that is only looked up is not done."""


class TakenError(Exception):
    """Another process is doing the task."""


_wait = ContextVar("wait", default=True)


@contextmanager
def not_waiting() -> Iterator[None]:
    """Within this block a task that another process is doing raises :class:`TakenError` instead of waiting for it."""
    token = _wait.set(False)
    try:
        yield
    finally:
        _wait.reset(token)


def done(task: Callable[[Item], Result], item: Item, wait: bool) -> Result | TakenError:
    """Return ``task(item)``, or, without waiting, the error that another process is doing it."""
    if wait:
        return task(item)
    try:
        with not_waiting():
            return task(item)
    except TakenError as taken:
        return taken


class TaskCache:
    """Does each task once for given inputs, in its own folder ``stages/KIND/NAME-HASH`` of a run.

    A task is finished when its folder contains ``done.json``, which is written last. An interrupted task is done again
    in its folder, where it may use what it had stored. If a setting is changed and changed back, the first result is
    found. One process does a task, and the others wait for it.

    Parameters
    ----------
    root
        The run folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left: Callable[[], float] | None = None
        """Seconds left of the run, if known."""
        self._looking = False

    def task(self, kind: str, name: str, inputs: Mapping[str, Any], work: Callable[[Path], None]) -> Path:
        """Return the folder of a finished task, calling ``work(folder)`` if it does not exist yet.

        ``inputs`` is JSON-compatible and contains all that the result depends on; folders of earlier tasks represent
        their results, because their names include the hash of their inputs.
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
            if not done.is_file():  # by the process that was waited for
                self._do(folder, work, json.loads(text))
                left = f", {duration(self.left())} left" if self.left else ""
                console.print(f"{kind:>9}  {name}  [dim]{seconds_of(folder):.1f} s{left}", soft_wrap=True)
            # A process that opened this file earlier finds the task done.
            lock.unlink(missing_ok=True)
        return folder

    def _do(self, folder: Path, work: Callable[[Path], None], inputs: Mapping[str, Any]) -> None:
        stopped = folder / "stopped.json"
        # The time before an error or Ctrl-C counts too.
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
    console.print(f"     note  waiting for {task}, which another keel is doing ({holder})", soft_wrap=True)


def described(kind: str, name: str, inputs: Mapping[str, Any]) -> str:
    """Return all that the result of a task depends on, as the text whose hash names its folder."""
    number = FORMATS[kind]
    stamp = FIRST if number == 1 else {"format": number}
    return json.dumps({**stamp, "kind": kind, "name": name, **inputs}, sort_keys=True, default=str)


def seconds_of(folder: Path) -> float:
    """Return how long a finished task took, including the time before it was stopped (not killed) and continued."""
    return _seconds(folder / "done.json")


def _seconds(path: Path) -> float:
    return float(read_object(path, ("seconds",), f"delete {path.parent} to redo it")["seconds"])

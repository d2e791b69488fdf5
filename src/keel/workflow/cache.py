"""Stages whose results are kept under a hash of their inputs."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keel import __version__
from keel.progress import console
from keel.results.writing import write_json


class NotDoneError(Exception):
    """A stage that one only looks for is not done."""


class StageCache:
    """Runs a stage once for given inputs, each in its own folder ``stages/KIND/NAME-HASH`` of a run.

    A stage is done when its folder holds ``done.json``, which is written last. A stage that was interrupted runs
    again in its folder, where it may find what it had stored. Changing a setting and changing it back finds the
    first result.

    Parameters
    ----------
    root
        The run folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._looking = False

    def stage(self, kind: str, name: str, inputs: dict[str, Any], work: Callable[[Path], None]) -> Path:
        """Return the folder of a finished stage, running ``work(folder)`` if it is not there yet.

        ``inputs`` is JSON-compatible and holds all that the result depends on; folders of earlier stages stand for
        their results, because their names carry the hash of their inputs.
        """
        text = json.dumps({"keel": __version__, "kind": kind, "name": name, **inputs}, sort_keys=True, default=str)
        folder = self.root / "stages" / kind / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
        done = folder / "done.json"
        if done.is_file():
            return folder
        if self._looking:
            raise NotDoneError(f"{kind} {name}")
        folder.mkdir(parents=True, exist_ok=True)
        stopped = folder / "stopped.json"
        # A stage that goes on after an error or Ctrl-C has taken the time before it too.
        started = time.perf_counter() - (_seconds(stopped) if stopped.is_file() else 0.0)
        try:
            work(folder)
        except BaseException:
            write_json(stopped, {"seconds": round(time.perf_counter() - started, 3)})
            raise
        stopped.unlink(missing_ok=True)
        seconds = time.perf_counter() - started
        write_json(done, {"seconds": round(seconds, 3), "inputs": json.loads(text)})
        console.print(f"{kind:>9}  {name}  [dim]{seconds:.1f} s")
        return folder

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Within this block a stage that is not done raises :class:`NotDoneError` instead of running."""
        self._looking = True
        try:
            yield
        finally:
            self._looking = False


def seconds_of(folder: Path) -> float:
    """Return how long a finished stage took, with what was done before it was stopped (not killed) and went on."""
    return _seconds(folder / "done.json")


def _seconds(path: Path) -> float:
    return float(json.loads(path.read_text())["seconds"])

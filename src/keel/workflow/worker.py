"""The work of a worker: it takes over plugins and the owner of the tasks, then does one task after another."""

from __future__ import annotations

import gc
import io
import os
import pickle
import platform
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from distributed import Worker, WorkerPlugin
from distributed import print as printed

from keel.errors import KeelError
from keel.launch import end_with_parent
from keel.plugins import failure_in, in_use, take_over
from keel.process import prepare_process
from keel.progress import console, plain_warnings, without_bars
from keel.workflow.cache import done

_known: dict[str, Prepared] = {}
"""Preparations of this process, by the names of the owners of tasks."""
_owners: dict[str, Any] = {}
"""The owners themselves, from their first task on."""


@dataclass(frozen=True)
class Prepared(WorkerPlugin):  # type: ignore[misc]
    """Prepares a worker, before its first task and again after a restart.

    Parameters
    ----------
    name
        Of the owner, unique on the scheduler.
    owner
        Pickled; its methods are the tasks.
    plugins
        Of keel; see :func:`keel.plugins.in_use`.
    place
        The working folder, the base of relative paths.
    local
        Whether the worker belongs to this run and ends with it.
    gpus
        Names of the GPUs, of which local workers see one each, in turn.
    """

    name: str
    owner: bytes
    plugins: Any
    place: str
    local: bool
    gpus: Sequence[str] = ()

    def setup(self, worker: Worker) -> None:
        """Prepare the process; the owner is unpickled by the first task, whose error is reported."""
        first = not _known
        _known[self.name] = self
        if not first:
            return
        if not self.local:
            console.file = _ToClient()  # type: ignore[assignment]
            return
        # A worker that outlived a killed run would write into the folders of the next one.
        end_with_parent()
        # It began as a copy of a process that only imports: none of that is garbage.
        gc.freeze()
        gc.enable()
        # Python's default reaction to Ctrl-C would end only the present task, and the worker would take the next.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if self.gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpus[int(worker.name) % len(self.gpus)]

    def teardown(self, worker: Worker) -> None:
        """Forget the owner: workers of a scheduler outlive the run."""
        _known.pop(self.name, None)
        _owners.pop(self.name, None)


def prepared(name: str, owner: Any, local: bool, gpus: Sequence[str] = ()) -> Prepared:
    """Return the preparation of workers for the tasks of an owner."""
    return Prepared(name, pickle.dumps(owner), in_use(), os.getcwd(), local, gpus)


def do(name: str, task: str, item: Any, wait: bool) -> Any:
    """Do a task of an owner in this process, on one thread; see :func:`~keel.workflow.cache.done`."""
    # Per thread, and the scheduler chooses the thread.
    torch.set_num_threads(1)
    prepare_process()
    without_bars()
    plain_warnings()
    try:
        return done(getattr(_owner(name), task), item, wait)
    except Exception as error:
        # Told here: a traceback does not travel with its frames.
        if failure := failure_in(error):
            raise KeelError(failure) from None
        if _travels(error):
            raise
        raise RuntimeError(_words(error)) from None


def _owner(name: str) -> Any:
    known = _known[name]
    _enter(known.place)  # for each task: runs from several folders may share a scheduler
    if name not in _owners:
        try:
            take_over(known.plugins)
            _owners[name] = pickle.loads(known.owner)
        except KeelError:
            raise
        except Exception as error:
            raise KeelError(f"a worker cannot start ({_words(error)})") from error
    return _owners[name]


def _enter(place: str) -> None:
    try:
        os.chdir(place)
    except OSError as error:
        raise KeelError(
            f"a worker on {platform.node()} cannot enter {place} ({error.strerror}); workers must see the run folder "
            "under the same path"
        ) from None


class _ToClient(io.TextIOBase):
    """Sends lines to the terminal of the user; the worker's own may be on another machine."""

    def __init__(self) -> None:
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            printed(line, file=sys.stderr)
        return len(text)


def _travels(error: Exception) -> bool:
    """Whether an error survives pickling: the classes of some take other arguments."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return False
    return True


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")

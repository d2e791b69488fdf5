"""Tasks side by side in processes of their own, which stay for all the tasks of a run."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from types import TracebackType
from typing import Any, Self

import torch

from keel.errors import KeelError
from keel.launch import end_with_parent
from keel.plugins import in_use, take_over
from keel.process import prepare_process
from keel.progress import plain_warnings, without_bars
from keel.ranges import Processes, checked
from keel.workflow.cache import TakenError, not_waiting

AGAIN = "what was finished is kept when the same command is run again"
ENDED_BY_THE_POOL = -signal.SIGTERM

_owner: Any = None
_failed: Exception | None = None


class Workers:
    """Processes that do tasks side by side, each on one thread; they start with the first task and end with the block.

    All fill the same folders of tasks as one process alone would. Each sees one of the GPUs, in turn, unless
    ``device`` names one (``"cuda:1"``).

    Parameters
    ----------
    owner
        Its methods are the tasks. Each process has its own copy, made by pickling.
    number
        Of the processes; 1: this one, on its threads.
    device
        Where the tasks compute, None where that is chosen for each.
    modules
        Large modules that the tasks need, which are imported once for all processes.
    """

    def __init__(self, owner: Any, number: int, device: str | None = None, modules: Sequence[str] = ()) -> None:
        number = checked(Processes, number, "workers")
        self.owner, self.number, self.device, self.modules = owner, number, device, modules
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def each(self, task: str, items: Sequence[Any]) -> Iterator[Any]:
        """Yield ``owner.<task>(item)`` of each item in order.

        What another keel works on in the same folder comes last, so that two share the work.
        """
        taken, early = [], {}
        for k, result in enumerate(self._map(task, items, False)):
            if isinstance(result, TakenError):
                taken.append(k)
            elif taken:
                early[k] = result
            else:
                yield result
        if taken:
            late = self._map(task, [items[k] for k in taken], True)
            for k in range(taken[0], len(items)):
                yield early[k] if k in early else next(late)

    def _map(self, task: str, items: Sequence[Any], wait: bool) -> Iterator[Any]:
        if self.number == 1:
            yield from (_done(self.owner, task, item, wait) for item in items)
            return
        self._pool = self._pool or self._started()
        n = len(items)
        try:
            yield from self._pool.map(_do, [task] * n, items, [wait] * n)
        except BrokenProcessPool as broken:
            # Asked before the pool ends, which ends the other workers too.
            what, why = _why_broken(self._pool, broken)
            self._end()
            raise KeelError(f"{what} in task {task}, {why}; {AGAIN}") from None

    def _started(self) -> ProcessPoolExecutor:
        # Elsewhere than on Linux, a copy of a process that has loaded the system's libraries may fail.
        context = get_context("forkserver" if sys.platform == "linux" else "spawn")
        if sys.platform == "linux":
            context.set_forkserver_preload(["keel.workflow.preloaded", *self.modules])
        one_for_all = ":" in str(self.device)
        gpus = () if one_for_all else visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"), torch.cuda.device_count())
        return ProcessPoolExecutor(
            self.number, context, _start, (pickle.dumps(self.owner), in_use(), gpus, context.Value("i", 0))
        )

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool = None


def visible_gpus(told: str | None, count: int) -> tuple[str, ...]:
    """Return the names of the GPUs that PyTorch counts, given CUDA_VISIBLE_DEVICES or None."""
    names = map(str, range(count)) if told is None else (name.strip() for name in told.split(","))
    return tuple(names)[:count]


def _why_broken(pool: ProcessPoolExecutor, broken: BrokenProcessPool) -> tuple[str, str]:
    """Return what became of the worker that ended first, and why or what to do."""
    workers = list((getattr(pool, "_processes", None) or {}).values())
    for worker in workers:
        worker.join(1.0)
    code = next((w.exitcode for w in workers if w.exitcode not in (None, 0, ENDED_BY_THE_POOL)), ENDED_BY_THE_POOL)
    if code == -signal.SIGKILL:
        return "a worker was killed", "as the system does for want of memory; fewer --workers need less"
    if code == ENDED_BY_THE_POOL and broken.__cause__ is not None:
        return "the answer of a worker cannot be read", str(broken.__cause__).strip(" \n'\"").splitlines()[-1]
    if code < 0:
        return f"a worker was ended by {signal.Signals(-code).name}", "which is no doing of keel"
    return (
        f"a worker ended by itself (exit code {code})",
        'its last words stand above; a script that starts workers does so under `if __name__ == "__main__":`',
    )


def _start(owner: bytes, plugins: Any, gpus: Sequence[str], counter: Any) -> None:
    global _owner, _failed
    # A worker that outlived a killed run would write into the folders of the next one.
    end_with_parent()
    gc.freeze()
    gc.enable()
    # Python's own answer to Ctrl-C would end the item at hand only, and the worker would take the next.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if gpus:
        with counter.get_lock():
            os.environ["CUDA_VISIBLE_DEVICES"] = gpus[counter.value % len(gpus)]
            counter.value += 1
    torch.set_num_threads(1)
    prepare_process()
    without_bars()
    plain_warnings()
    try:
        take_over(plugins)
        _owner = pickle.loads(owner)  # only now, for it may compute
    except Exception as error:
        # Raised here it would be lost; the first task tells it.
        _failed = error if isinstance(error, KeelError) else KeelError(f"a worker cannot start ({_words(error)})")


def _do(task: str, item: Any, wait: bool) -> Any:
    if _failed is not None:
        raise _failed
    try:
        return _done(_owner, task, item, wait)
    except Exception as error:
        if _travels(error):
            raise
        raise RuntimeError(_words(error)) from error


def _travels(error: Exception) -> bool:
    """Whether an error arrives where it is sent: one whose class takes other arguments would break the pool."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return False
    return True


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")


def _done(owner: Any, task: str, item: Any, wait: bool) -> Any:
    if wait:
        return getattr(owner, task)(item)
    try:
        with not_waiting():
            return getattr(owner, task)(item)
    except TakenError as taken:
        return taken

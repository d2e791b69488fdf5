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
from keel.process import prepare_process
from keel.progress import plain_warnings, without_bars
from keel.ranges import Processes, checked
from keel.workflow.cache import TakenError, not_waiting

_owner: Any = None


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
        except BrokenProcessPool:
            self._end()
            raise KeelError(
                f"a worker was killed in task {task}, perhaps for want of memory; run the same command again, with "
                "fewer --workers: what was finished is kept"
            ) from None

    def _started(self) -> ProcessPoolExecutor:
        # Elsewhere than on Linux, a copy of a process that has loaded the system's libraries may fail.
        context = get_context("forkserver" if sys.platform == "linux" else "spawn")
        if sys.platform == "linux":
            context.set_forkserver_preload(["keel.workflow.preloaded", *self.modules])
        one_for_all = ":" in str(self.device)
        gpus = () if one_for_all else visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"), torch.cuda.device_count())
        return ProcessPoolExecutor(
            self.number, context, _start, (pickle.dumps(self.owner), gpus, context.Value("i", 0))
        )

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pool = None


def visible_gpus(told: str | None, count: int) -> tuple[str, ...]:
    """Return the names of the GPUs that PyTorch counts, given CUDA_VISIBLE_DEVICES or None."""
    names = map(str, range(count)) if told is None else (name.strip() for name in told.split(","))
    return tuple(names)[:count]


def _start(owner: bytes, gpus: Sequence[str], counter: Any) -> None:
    global _owner
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
    _owner = pickle.loads(owner)  # only now, for it may compute


def _do(task: str, item: Any, wait: bool) -> Any:
    return _done(_owner, task, item, wait)


def _done(owner: Any, task: str, item: Any, wait: bool) -> Any:
    if wait:
        return getattr(owner, task)(item)
    try:
        with not_waiting():
            return getattr(owner, task)(item)
    except TakenError as taken:
        return taken

"""Tasks side by side in processes of their own."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

import torch

from keel.errors import KeelError
from keel.launch import end_with_parent
from keel.process import prepare_process
from keel.progress import plain_warnings, without_bars

_owner: Any = None


def for_each(owner: Any, task: str, items: Sequence[Any], workers: int, device: str | None = None) -> Iterator[Any]:
    """Yield ``owner.<task>(item)`` of each item in order, computed by some processes side by side.

    Each process has its own copy of the owner, made by pickling, and works on one thread; all fill the same
    folders of tasks as one alone would. Each sees one of the GPUs, in turn, unless ``device`` names one (``"cuda:1"``).
    """
    if workers == 1:
        for item in items:
            yield getattr(owner, task)(item)
        return
    context = get_context("spawn")
    gpus = () if ":" in str(device) else visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"), torch.cuda.device_count())
    start = (pickle.dumps(owner), gpus, context.Value("i", 0))
    with ProcessPoolExecutor(workers, context, initializer=_start, initargs=start) as pool:
        try:
            yield from pool.map(_do, [task] * len(items), items)
        except BrokenProcessPool:
            raise KeelError(
                f"a worker was killed in task {task}, perhaps for want of memory; run the same command again, with "
                "fewer --workers: what was finished is kept"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def visible_gpus(told: str | None, count: int) -> tuple[str, ...]:
    """Return the names of the GPUs that PyTorch counts, given CUDA_VISIBLE_DEVICES or None."""
    names = map(str, range(count)) if told is None else (name.strip() for name in told.split(","))
    return tuple(names)[:count]


def _start(owner: bytes, gpus: Sequence[str], counter: Any) -> None:
    global _owner
    # A worker that outlived a killed run would write into the folders of the next one.
    end_with_parent()
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


def _do(task: str, item: Any) -> Any:
    return getattr(_owner, task)(item)

"""Stages side by side in processes of their own."""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

from keel.process import prepare_process
from keel.progress import plain_warnings, without_bars

_owner: Any = None


def for_each(owner: Any, stage: str, items: Sequence[Any], workers: int) -> Iterator[Any]:
    """Yield ``owner.<stage>(item)`` of each item in order, computed by some processes side by side.

    Each process has its own copy of the owner, made by pickling, and works on one thread; all fill the same stage
    folders as one alone would.
    """
    if workers == 1:
        for item in items:
            yield getattr(owner, stage)(item)
        return
    start = (pickle.dumps(owner),)
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=start) as pool:
        try:
            yield from pool.map(_do, [stage] * len(items), items)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start(owner: bytes) -> None:
    global _owner
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(1)
    prepare_process()
    without_bars()
    plain_warnings()
    _owner = pickle.loads(owner)  # only now, for it may compute


def _end_with_parent(parent: int) -> None:
    # A worker that outlived a killed run would write into the folders of the next one.
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def _do(stage: str, item: Any) -> Any:
    return getattr(_owner, stage)(item)

"""Cells side by side in processes of their own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from keel.config import RunSettings
from keel.process import prepare_process
from keel.progress import plain_warnings, without_bars
from keel.workflow.pipeline import Cell, Pipeline

_pipeline: Pipeline | None = None


def for_each(pipeline: Pipeline, stage: str, cells: Sequence[Cell], workers: int) -> Iterator[Any]:
    """Yield ``pipeline.<stage>(cell)`` of each cell in order, computed by some processes side by side.

    The processes fill the same stage folders as one alone would; each works on one thread.
    """
    if workers == 1:
        for cell in cells:
            yield getattr(pipeline, stage)(cell)
        return
    start = (pipeline.config, pipeline.root, pipeline.base)
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=start) as pool:
        try:
            yield from pool.map(_do, [stage] * len(cells), cells)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start(config: RunSettings, root: Path, base: Path) -> None:
    global _pipeline
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(1)
    prepare_process()
    without_bars()
    plain_warnings()
    _pipeline = Pipeline(config, root, base)


def _end_with_parent(parent: int) -> None:
    # A worker that outlived a killed run would write into the folders of the next one.
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def _do(stage: str, cell: Cell) -> Any:
    return getattr(_pipeline, stage)(cell)

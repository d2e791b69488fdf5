"""Threads that share the loop of a kernel."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from numpy.typing import NDArray


def in_threads(work: Callable[[int], Any], parts: int) -> None:
    """Call ``work`` for each part, on as many threads as PyTorch may use; kernels release the interpreter's lock."""
    threads = min(torch.get_num_threads(), parts)
    if threads == 1:
        for part in range(parts):
            work(part)
        return
    for job in [_pool(threads).submit(work, part) for part in range(parts)]:
        job.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="keel")


def plain(tensor: torch.Tensor) -> NDArray[Any]:
    """Return a tensor on CPU as an array that shares its memory."""
    array: NDArray[Any] = tensor.detach().numpy()
    return array

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
    rest = iter(range(parts))

    def some() -> None:
        for part in rest:
            work(part)

    helpers = [_pool(threads - 1).submit(some) for _ in range(threads - 1)]
    some()
    for helper in helpers:
        helper.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="keel")


def plain(tensor: torch.Tensor) -> NDArray[Any]:
    """Return a tensor on CPU as an array that shares its memory."""
    array: NDArray[Any] = tensor.detach().numpy()
    return array

"""Threads that share the pairs of a kernel."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from numpy.typing import NDArray

PAIRS_IN_PART = 16_384
MOST_PARTS = 8


def parts(pairs: int) -> list[tuple[int, int]]:
    """Divide so many pairs into ranges, always the same, so that sums do not depend on the number of threads."""
    number = min(max(pairs // PAIRS_IN_PART, 1), MOST_PARTS)
    bounds = [pairs * k // number for k in range(number + 1)]
    return list(pairwise(bounds))


def in_parts(work: Callable[[int, int, int], Any], ranges: list[tuple[int, int]]) -> None:
    """Call ``work(part, first, last)`` for each range, on as many threads as PyTorch may use."""
    threads = min(torch.get_num_threads(), len(ranges))
    if threads == 1:
        for part, (first, last) in enumerate(ranges):
            work(part, first, last)
        return
    jobs = [_pool(threads).submit(work, part, first, last) for part, (first, last) in enumerate(ranges)]
    for job in jobs:
        job.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="keel")


def plain(tensor: torch.Tensor) -> NDArray[Any]:
    """Return a tensor on CPU as an array that shares its memory."""
    array: NDArray[Any] = tensor.detach().numpy()
    return array

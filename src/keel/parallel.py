"""Threads that share the loop of a kernel."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(work: Callable[[int], Any], parts: int) -> None:
    """Call ``work`` for each part, on as many threads as PyTorch uses; kernels release the interpreter's lock."""
    threads = min(torch.get_num_threads(), parts)
    rest = iter(range(parts))

    def some() -> None:
        for part in rest:
            work(part)

    helpers = [_pool(threads - 1).submit(some) for _ in range(threads - 1)]
    some()
    for helper in helpers:
        helper.result()


def ahead(make: Callable[[Item], Result], items: Iterable[Item], most: int = 2) -> Generator[Result]:
    """Yield ``make`` of each item in order; meanwhile another thread prepares the next ones, at most ``most``.

    Exceptions are raised in place of the result. Close it (``contextlib.closing``) to end the thread.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="keel-ahead") as thread:
        try:
            for item in items:
                waiting.append(thread.submit(make, item))
                if len(waiting) > most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for result in waiting:
                result.cancel()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="keel")


def plain(tensor: torch.Tensor) -> NDArray[Any]:
    """Return a tensor on CPU as an array that shares its memory."""
    array: NDArray[Any] = tensor.detach().numpy()
    return array

"""Settings of the process that make computing faster."""

from __future__ import annotations

import ctypes
import resource
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def prepare_process() -> None:
    """Set up a process that is used by keel alone."""
    # Per thread, so before the thread pool exists. Denormal numbers slow a training step several times.
    torch.set_flush_denormal(True)
    keep_freed_memory()


@cache
def keep_freed_memory() -> None:
    """Keep freed memory in the process for reuse (Linux with glibc; elsewhere nothing).

    Otherwise large tensors are returned to the system and fetched again page by page in each step of a training or a
    simulation on CPU, which takes up to a third of its time.
    """
    for parameter in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
        _glibc("mallopt", parameter, -1)  # there is no threshold


def give_back_freed_memory() -> None:
    """Return memory to the system after finished work, such as compiling, training or a simulation."""
    _glibc("malloc_trim", 0)


def forget_peak_memory() -> None:
    """Begin to measure :func:`peak_memory_mb` anew (Linux; elsewhere it counts from the start of the process)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> float:
    """Return the largest resident size of this process in MB, since :func:`forget_peak_memory`."""
    with suppress(OSError):
        status = Path("/proc/self/status").read_text()
        return round(int(status.split("VmHWM:")[1].split()[0]) / 2**10, 1)
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts in bytes, others in KiB.
    return round(size / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _glibc(function: str, *arguments: int) -> None:
    with suppress(AttributeError, OSError, TypeError):  # on another system, or with another C library
        getattr(ctypes.CDLL(None), function)(*arguments)

"""Waiting for what a process does, not for how long it takes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

HANG = 600
"""Seconds after which something is taken to hang, many times what it needs on a busy machine."""


def wait_for(state: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    """Return once a state is there, or the process has ended.

    Raises
    ------
    TimeoutError
        If neither comes.
    """
    end = time.monotonic() + HANG
    while not state() and process.poll() is None:
        if time.monotonic() > end:
            process.kill()
            raise TimeoutError(f"after {HANG} s the process still works on it")
        time.sleep(0.01)

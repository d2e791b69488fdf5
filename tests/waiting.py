"""Waiting for what a process does, not for how long it takes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

HANG = 600
"""Seconds after which something is taken to hang, many times what it needs on a busy machine."""


def wait_for(state: Callable[[], object], process: subprocess.Popen[bytes] | None = None) -> None:
    """Return once a state is there, or the process, if one is given, has ended.

    Raises
    ------
    TimeoutError
        If neither comes.
    """
    end = time.monotonic() + HANG
    while not state() and (process is None or process.poll() is None):
        if time.monotonic() > end:
            if process is not None:
                process.kill()
            raise TimeoutError(f"after {HANG} s it is still not there")
        time.sleep(0.01)

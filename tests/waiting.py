"""Waiting for what a process does, not for how long it takes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import traceback
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


def killed(work: Callable[[Callable[[], object]], object], steps: int, pause: float = 0.0) -> bool:
    """Fork a process and kill it in the midst of its work; return whether that is what it died of.

    Call this in a process of its own, with little but imports behind it, which its children then need not repeat.

    Parameters
    ----------
    work
        What the process does; it calls its argument as each step begins.
    steps, pause
        When it is killed: so many steps after its start and seconds after the last of them, but before the next.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        begun = iter(range(steps))
        try:
            work(lambda: signal.pause() if next(begun, None) is None else os.write(writer, b"."))
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    os.close(writer)
    for _ in range(steps):
        os.read(reader, 1)
    time.sleep(pause)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] == signal.SIGKILL

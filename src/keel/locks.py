"""Locks between processes that work in one folder, on one machine or several; a lock ends with its process.

Each is a file that the system locks (flock; over NFS, a lock of its server). Two locks of one file exclude each other
even within one process.
"""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from keel.errors import KeelWarning

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""Errors of file systems without locks."""


@contextmanager
def locked(path: Path, held: Callable[[str], object] | None = None, *, passing: bool = False) -> Iterator[None]:
    """Hold a lock while the block runs.

    Parameters
    ----------
    path
        The file, whose folder exists.
    held
        Called first if another process holds the lock, with the name of that process; an exception from it ends the
        waiting.
    passing
        Whether the file is removed with the lock.
    """
    while True:
        with path.open("a+") as file:
            if _taken(file, fcntl.LOCK_EX | fcntl.LOCK_NB) is False:
                file.seek(0)
                (held or str)(file.read() or "a process that has just begun")
                _taken(file, fcntl.LOCK_EX)
            if _is_gone(file, path):
                continue
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}")
            file.flush()
            try:
                yield
            finally:
                if passing:
                    path.unlink(missing_ok=True)
            return


@contextmanager
def shared(path: Path, if_alone: Callable[[], object], if_not: Callable[[], object] = str) -> Iterator[None]:
    """Share a lock while the block runs; first call ``if_alone`` if nobody else holds it, else ``if_not``.

    The last holder deletes the file.
    """
    while True:
        with path.open("a+") as file:
            alone = _taken(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_gone(file, path):
                continue
            try:
                if alone is not None:
                    (if_alone if alone else if_not)()
            finally:
                _taken(file, fcntl.LOCK_SH)
            if _is_gone(file, path):
                continue
            try:
                yield
            finally:
                if _taken(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    path.unlink(missing_ok=True)
            return


def _taken(file: IO[str], operation: int) -> bool | None:
    """Return whether the lock was free; None if the file system has no locks."""
    try:
        fcntl.flock(file, operation)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        said = f"{file.name}: this disk does not support locks; run only one keel at a time in this folder"
        warnings.warn(said, KeelWarning, stacklevel=3)
        return None
    return True


def _is_gone(file: IO[str], path: Path) -> bool:
    """Return whether the previous holder has removed the file: its lock would then exclude no newcomer."""
    try:
        return not os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return True

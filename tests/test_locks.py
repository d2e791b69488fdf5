"""Processes wait for each other, and never for one that is dead."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from keel.errors import KeelWarning
from keel.locks import locked, shared

HOLDS = "import sys; from pathlib import Path; from keel.locks import locked, shared; path = Path(sys.argv[1])\n"
LOCKED = HOLDS + "with locked(path): print('ready', flush=True); input()"
SHARED = HOLDS + "with shared(path, lambda: None): print('ready', flush=True); input()"


@contextmanager
def neighbour(script: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that holds a lock until it reads a line."""
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


@pytest.mark.parametrize("how", ["ends", "is killed"])
def test_who_waits_is_told_for_whom_and_gets_the_lock_when_the_other_goes(tmp_path: Path, how: str):
    path = tmp_path / "lock"
    with neighbour(LOCKED, path) as process:
        told = []

        def held(holder: str) -> None:
            told.append(holder)
            if how == "is killed":
                process.kill()
            else:
                process.communicate("\n")

        with locked(path, held):
            assert told[0].startswith(f"process {process.pid} on ")
            assert path.read_text().startswith(f"process {os.getpid()} ")


def test_a_free_lock_is_had_at_once_and_again(tmp_path: Path):
    for _ in range(2):
        with locked(tmp_path / "lock", pytest.fail):
            pass


def test_who_does_not_want_to_wait_need_not(tmp_path: Path):
    def refuse(holder: str) -> None:
        raise LookupError(holder)

    with neighbour(LOCKED, tmp_path / "lock"), pytest.raises(LookupError), locked(tmp_path / "lock", refuse):
        pytest.fail("the lock was not held")


def test_alone_is_who_shares_with_nobody_that_lives(tmp_path: Path):
    path, alone = tmp_path / "in use", []
    with neighbour(SHARED, path) as process:
        with shared(path, lambda: alone.append("beside a neighbour")):
            pass
        process.kill()
        process.wait()
        with shared(path, lambda: alone.append("beside a dead one")), neighbour(SHARED, path):
            pass
    assert alone == ["beside a dead one"]


def test_who_is_not_alone_is_told_too(tmp_path: Path):
    path, told = tmp_path / "in use", []
    with neighbour(SHARED, path), shared(path, lambda: told.append("alone"), lambda: told.append("not alone")):
        assert told == ["not alone"]


def test_who_leaves_last_takes_the_file_away(tmp_path: Path):
    path = tmp_path / "in use"
    with neighbour(SHARED, path) as process:
        with shared(path, lambda: None):
            pass
        assert path.exists(), "the neighbour is still there"
        process.communicate("\n")
        assert not path.exists()
    for passing in (True, False):
        with locked(path, pytest.fail, passing=passing):
            assert path.exists()
        assert path.exists() is not passing


def test_a_lock_whose_file_was_taken_away_is_none(tmp_path: Path):
    """Who waited for it would not be seen by who comes now; so he takes the lock of the new file."""
    path = tmp_path / "lock"
    script = LOCKED.replace("with locked(path):", "with locked(path, passing=True):")
    with neighbour(script, path) as process:
        with locked(path, lambda _: process.communicate("\n"), passing=True):
            assert path.read_text().startswith(f"process {os.getpid()} ")
            refused = []
            with pytest.raises(LookupError), locked(path, lambda holder: refused.append(holder) or _refuse()):
                pass
            assert refused == [path.read_text()]
        assert not path.exists()


def _refuse() -> None:
    raise LookupError


def test_a_disk_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refused)
    no_locks = pytest.warns(KeelWarning, match="this disk does not support locks; run only one keel")
    with no_locks, locked(tmp_path / "lock", pytest.fail):
        (tmp_path / "locked").touch()
    unknown = [lambda: pytest.fail("it cannot know that")] * 2
    with no_locks, shared(tmp_path / "lock", *unknown):
        (tmp_path / "shared").touch()
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "locked", "shared"}

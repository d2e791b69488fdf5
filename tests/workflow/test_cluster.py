"""Workers that cannot begin, or end, say why; all have the plugins of the process that starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from keel import plugins
from keel.errors import ConfigError, KeelError
from keel.workflow.cache import TaskCache
from keel.workflow.cluster import Cluster


class NeedyError(Exception):
    """An error that cannot be sent: its class asks for more than it tells."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} for {why}")


@dataclass(frozen=True)
class Worker:
    """What a worker process does in these tests."""

    def fails(self, number: int) -> None:
        raise NeedyError("nothing", f"task {number}")

    def ends(self, number: int) -> None:
        os.kill(os.getpid(), number)

    def knows(self, module: str) -> bool:
        return module in sys.modules


class Broken(Worker):
    """Something that can be sent but not received."""

    def __reduce__(self):
        return _refuse, (f"made in {os.getpid()}",)


def _refuse(where: str) -> None:
    raise LookupError(f"there is no package of that name, {where}")


class BrokenByUser(Worker):
    def __reduce__(self):
        return _mistake, ()


def _mistake() -> None:
    raise ConfigError("networks: there is no 'SchNet'")


def results(owner: object, task: str, items: list) -> list:
    with Cluster(2) as cluster:
        return list(cluster.each(getattr(owner, task), items))


def test_what_cannot_be_received_is_told():
    sentence = f"a worker cannot start \\(LookupError: there is no package of that name, made in {os.getpid()}\\)"
    with pytest.raises(KeelError, match=sentence):
        results(Broken(), "knows", ["os", "sys"])


def test_a_mistake_of_the_user_keeps_its_words():
    with pytest.raises(ConfigError, match=r"^networks: there is no 'SchNet'$"):
        results(BrokenByUser(), "knows", ["os", "sys"])


def test_errors_that_cannot_be_sent_arrive_in_words():
    with pytest.raises(RuntimeError, match=r"^NeedyError: nothing for task [12]$"):
        results(Worker(), "fails", [1, 2])


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (signal.SIGSEGV, r"a worker was ended by SIGSEGV, .* in task ends; .*kept when the same command"),
        (
            signal.SIGKILL,
            r"a worker was killed, probably because memory ran out \(use fewer --workers.* in task ends",
        ),
    ],
)
def test_a_signal_is_named(number, sentence):
    with pytest.raises(KeelError, match=sentence):
        results(Worker(), "ends", [number, number])


def test_plugins_are_those_of_the_process_that_starts_them(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "_named", {})
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "for_all_workers.py").touch()
    plugins.load_plugins(["for_all_workers.py"], tmp_path)
    assert results(Worker(), "knows", ["for_all_workers", "for_no_worker"]) == [True, False]


SCRIPT = """
from test_cluster import results, Worker
results(Worker(), "knows", ["os", "sys"])
"""


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_about_it(tmp_path: Path):
    """Its workers begin by running it again."""
    (tmp_path / "script.py").write_text(SCRIPT)
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    (said,) = (line for line in done.stderr.splitlines() if line.startswith("keel.errors.KeelError"))
    assert "a worker ended by itself (exit code 1; its last output is above" in said
    assert 'under `if __name__ == "__main__":`' in said and "memory" not in said


@dataclass(frozen=True)
class Mortal:
    """Dies once in the third task, and counts how often the work of each is done."""

    root: Path

    def do(self, number: int) -> int:
        def work(folder: Path) -> None:
            with (folder / "times").open("a") as log:
                log.write(f"{os.getpid()}\n")
            if number == 3 and not (self.root / "died").exists():
                (self.root / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)

        return len((TaskCache(self.root).task("train", f"thing{number}", {}, work) / "times").read_text().splitlines())


def test_a_worker_that_is_killed_costs_only_its_task(tmp_path: Path):
    with Cluster(2) as cluster:
        assert list(cluster.each(Mortal(tmp_path).do, range(8))) == [1, 1, 1, 2, 1, 1, 1, 1]

"""Workers of a scheduler of Dask that others have started, by the commands that are used on a cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from keel.errors import ConfigError
from keel.progress import console
from keel.workflow.cluster import Cluster
from keel.workflow.run import run
from tiny_run import tiny
from waiting import wait_for

pytestmark = pytest.mark.xdist_group("scheduler")


@contextmanager
def scheduler(folder: Path, *, workers: int = 1, threads: int = 1) -> Iterator[Path]:
    """Run a scheduler and its workers; yield the file by which both are found."""
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    own = ["--scheduler-file", file, "--no-dashboard"]
    with ExitStack() as processes:
        processes.enter_context(dask("scheduler", *own, "--port", 0))
        wait_for(file.is_file)
        options = ["--nworkers", workers, "--nthreads", threads, "--memory-limit", 0, "--local-directory", folder]
        processes.enter_context(dask("worker", *own, *options, place=folder))
        yield file


@contextmanager
def dask(*words: object, place: Path | None = None) -> Iterator[None]:
    paths = [Path(__file__).parent, Path(__file__).parents[1], os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, "-m", "dask", *map(str, words)]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        cwd=place,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Visitor:
    """What workers on other machines do."""

    def where(self, number: int) -> tuple[str, int]:
        console.print(f"    train  visit {number}")
        return os.getcwd(), os.getpid()


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory) -> Iterator[Path]:
    """The file of a scheduler with one worker."""
    with scheduler(tmp_path_factory.mktemp("scheduler")) as file:
        yield file


@pytest.mark.slow
def test_workers_do_tasks_in_the_folder_of_who_asks_and_are_heard_there(one_worker, capfd):
    with Cluster(scheduler=str(one_worker)) as cluster:
        assert cluster.workers == 1
        (place, process), second = cluster.each(Visitor().where, [1, 2])
        assert place == os.getcwd() and process != os.getpid() and second == (place, process)
        heard = [""]
        wait_for(lambda: heard.append(heard.pop() + capfd.readouterr().err) or "visit 2" in heard[0])


@pytest.mark.slow
def test_a_scheduler_that_comes_back_gets_what_is_left(tmp_path):
    done = []
    with ExitStack() as first, Cluster(scheduler=str(first.enter_context(scheduler(tmp_path)))) as cluster:
        for number, _ in enumerate(cluster.each(Visitor().where, range(20))):
            done.append(number)
            if number == 1:
                first.close()
                first.enter_context(scheduler(tmp_path))
    assert done == list(range(20))


@pytest.mark.slow
def test_a_run_on_the_workers_of_a_scheduler_has_the_numbers_of_one_alone(tmp_path):
    with scheduler(tmp_path, workers=2) as file:
        run(tiny(), tmp_path / "there", scheduler=str(file))
    run(tiny(), tmp_path / "here", workers=2)
    there, here = (json.loads((tmp_path / name / "results.json").read_text())["cells"] for name in ("there", "here"))
    measured = [{k: v for k, v in cell.items() if "seconds" not in k and "memory" not in k} for cell in (*there, *here)]
    assert measured[: len(there)] == measured[len(there) :]


def test_workers_of_several_tasks_in_one_process_are_refused(tmp_path):
    refused = pytest.raises(ConfigError, match=r"runs 2 tasks at a time in one process; start workers with")
    with scheduler(tmp_path, threads=2) as file, refused, Cluster(scheduler=str(file)):
        pass


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("nowhere.json", "--scheduler nowhere.json: this is neither a file nor an address such as tcp://node1:8786"),
        ("tcp://127.0.0.1:9", "--scheduler tcp://127.0.0.1:9 does not answer; start it with `dask scheduler`"),
        ("gopher://127.0.0.1:9", "--scheduler gopher://127.0.0.1:9: "),
    ],
)
def test_a_scheduler_that_is_not_there(where, sentence, monkeypatch):
    monkeypatch.setattr("keel.workflow.scheduling.WAITED", 0.0)
    with pytest.raises(ConfigError, match=f"^{sentence}"), Cluster(scheduler=where):
        pass


def test_runs_from_two_folders_share_a_scheduler(one_worker, tmp_path, monkeypatch):
    """Each task is done from the folder of who asks, also after one of the other's."""
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    places = []
    with Cluster(scheduler=str(one_worker)) as cluster:
        for folder, visitor in zip(folders, visitors := [Visitor(), Visitor()], strict=True):
            monkeypatch.chdir(folder)
            places += [place for place, _ in cluster.each(visitor.where, [0])]
        places += [place for place, _ in cluster.each(visitors[0].where, [1])]
    assert places == list(map(str, [*folders, folders[0]]))

"""Several keels in one folder: each task is done once, by whoever comes first; nobody's files are deleted."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import keel
from keel.errors import ConfigError
from keel.locks import shared
from keel.workflow.cache import TakenError, TaskCache, not_waiting
from keel.workflow.cluster import Cluster
from keel.workflow.pipeline import Pipeline
from keel.workflow.run import run
from keel.workflow.sharing import working_in
from test_locks import SHARED, neighbour
from tiny_run import TINY, tiny
from waiting import HANG


@dataclass(frozen=True)
class Maker:
    """Makes things that take as long as another process needs to begin the next."""

    root: Path
    partners: int

    def make(self, number: int) -> Path:
        def work(folder: Path) -> None:
            with (self.root / "log").open("a") as log:
                log.write(f"{os.getpid()} {number}\n")
            end = time.monotonic() + HANG
            while len({line.split()[0] for line in made(self.root)}) < self.partners:
                assert time.monotonic() < end, "nobody makes anything else meanwhile"
                time.sleep(0.01)

        return TaskCache(self.root).task("train", f"thing{number}", {}, work)

    def process(self, _: int) -> int:
        time.sleep(0.1)
        return os.getpid()

    def loaded(self, module: str) -> bool:
        return module in sys.modules


def made(root: Path) -> list[str]:
    return (root / "log").read_text().splitlines()


SHARE = """
import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])
from test_sharing import Maker; from keel.workflow.cluster import Cluster
with Cluster() as cluster: print(len(list(cluster.each(Maker(Path(sys.argv[1]), 2).make, range(4)))))
"""


@pytest.mark.slow
def test_two_processes_share_the_tasks_and_do_none_twice(tmp_path: Path):
    command = [sys.executable, "-c", SHARE, str(tmp_path), str(Path(__file__).parent)]
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths})
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in both] == ["4\n", "4\n"]
    assert sorted(line.split()[1] for line in made(tmp_path)) == ["0", "1", "2", "3"]


def test_what_is_taken_comes_last_but_in_its_place():
    order = []

    class Owner:
        def double(self, number: int) -> int | None:
            order.append(number)
            if number == 1 and order.count(1) == 1:
                raise TakenError("train 1")
            return 2 * number

    with Cluster() as cluster:
        assert list(cluster.each(Owner().double, [0, 1, 2])) == [0, 2, 4]
    assert order == [0, 1, 2, 1]


def test_a_task_that_another_process_has_stopped_is_done_by_who_waited(tmp_path: Path):
    folder = TaskCache(tmp_path).task("train", "thing", {}, lambda folder: None)
    (folder / "done.json").unlink()
    with neighbour(SHARED, folder / ".lock") as process:
        with pytest.raises(TakenError), not_waiting():
            TaskCache(tmp_path).task("train", "thing", {}, lambda folder: None)
        process.kill()
        process.wait()
        TaskCache(tmp_path).task("train", "thing", {}, lambda folder: (folder / "made").touch())
    assert {path.name for path in folder.iterdir()} == {"done.json", "made"}


@pytest.mark.slow
def test_two_runs_train_each_network_once(tmp_path: Path):
    config, folder = tmp_path / "tiny.yaml", tmp_path / "run"
    config.write_text(yaml.safe_dump({**TINY, "seeds": [0, 1]}))
    script = "import keel.reporting; keel.reporting.write_report = lambda root: root; from keel.cli import main; main()"
    command = [sys.executable, "-c", script, "run", str(config), "--out", str(folder), "--only"]
    names = [f"CGCNN-pretrain-seed{seed}" for seed in (0, 1)]
    both = [subprocess.Popen([*command, name], stderr=subprocess.PIPE, text=True) for name in names]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    done = [line.split()[:2] for line in "".join(said).splitlines() if re.search(r" \d+\.\d s(, .* left)?$", line)]
    assert sorted(name for task, name in done if task == "train") == [
        *names, "CGCNN-vanilla-seed0", "CGCNN-vanilla-seed1",
    ]  # fmt: skip
    assert len(done) == len({tuple(task) for task in done}) == len(list(folder.rglob("done.json")))
    cells = json.loads((folder / "results.json").read_text())["cells"]
    assert [cell["seed"] for cell in cells] == [0, 1]
    assert {path.stem for path in (folder / "potentials").iterdir()} >= set(names)


def test_temporary_files_are_deleted_when_nobody_writes_them_any_more(tmp_path: Path):
    unfinished = tmp_path / "stages" / "train" / "thing" / ".writing-x.json"
    unfinished.parent.mkdir(parents=True)
    unfinished.touch()
    with neighbour(SHARED, tmp_path / ".in-use") as process:
        stopped_early(tmp_path)
        assert unfinished.exists()
        process.kill()
        process.wait()
        stopped_early(tmp_path)
        assert not unfinished.exists()


def stopped_early(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no trial 'none'"):
        run(tiny(), folder, only=["none"])


def test_who_shares_a_folder_says_so_and_who_is_alone_does_not(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    with neighbour(SHARED, tmp_path / ".in-use"), working_in(tmp_path, begun=False):
        assert f"another keel works in {tmp_path}" in " ".join(capfd.readouterr().err.split())
    with working_in(tmp_path, begun=True):
        assert capfd.readouterr().err.split() == f"continuing in {tmp_path}; finished tasks are kept".split()


@pytest.mark.slow
def test_two_assessments_share_their_groups(tmp_path: Path):
    keel.EAM.from_elements(["Mo"], cutoff=5.0).save(str(tmp_path / "mo.json"))
    command = [sys.executable, "-m", "keel", "assess", str(tmp_path / "mo.json"), "--probes", "compression,contacts"]
    command += ["--out", str(tmp_path / "out")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ends = [process.communicate() for process in both]
    assert [out.splitlines()[-1] for out, _ in ends] == [f"page: {tmp_path / 'out' / 'assessment.html'}"] * 2, ends
    done = [line for _, err in ends for line in err.splitlines() if line.endswith(" s") and "probes" in line]
    assert sorted(line.split()[1] for line in done) == ["compression", "contacts"]


def test_a_run_is_seen_by_its_neighbours_while_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    looked = []

    def look(pipeline: Pipeline, cluster: Cluster) -> None:
        with shared(pipeline.root / ".in-use", lambda: pytest.fail("there is a run beside")):
            looked.append(cluster.workers)

    monkeypatch.setattr(sys.modules["keel.workflow.run"], "_perform", look)
    monkeypatch.setattr("keel.reporting.write_report", lambda root: root)
    run(tiny(), tmp_path, workers=3)
    assert looked == [3]


def test_workers_stay_for_all_tasks(tmp_path: Path):
    with Cluster(2) as cluster:
        first, second = (set(cluster.each(Maker(tmp_path, 1).process, range(6))) for _ in range(2))
    assert len(first | second) == 2
    assert os.getpid() not in first


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers are no copies elsewhere")
def test_what_all_workers_need_is_imported_once_for_all():
    """Workers are copies of a process that has it, so that it is there before anything is done."""
    script = (
        "from keel.workflow.cluster import Cluster; from test_sharing import Maker; from pathlib import Path\n"
        "with Cluster(2, modules=['colorsys']) as cluster:\n"
        "    modules = ['colorsys', 'keel.workflow.pipeline', 'numba', 'sndhdr']\n"
        "    print(list(cluster.each(Maker(Path(), 1).loaded, modules)))"
    )
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    assert done.stdout == "[True, True, True, False]\n"

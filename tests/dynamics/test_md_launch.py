"""Simulations spread over processes: the same numbers as one, found again after a kill, by any number of them."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import keel
from keel.atoms.write import write
from keel.cli import app
from keel.dynamics import ComputeSettings, read_trajectories, simulate
from keel.dynamics.job import batched
from keel.dynamics.parts import begun_parts, part_of
from keel.dynamics.spread import Ranks, dealt
from keel.errors import ConfigError, DataError, KeelError, KeelWarning
from keel.identity import of_settings
from keel.launch import is_first, launched, size_of_job
from keel.potentials import LennardJones
from keel.training import TrainingSettings
from keel.workflow.scheduling import visible_gpus
from simulated import argon, molecule, of_steps
from waiting import HANG

pytestmark = pytest.mark.xdist_group("md_launch")
LJ = LennardJones(cutoff=6.0)
# Two atoms on the repulsive wall: this run overheats.
DOOMED = molecule([[0, 0, 0], [2.7, 0, 0]], [18, 18]).replace(cell=np.eye(3) * 20, pbc=np.ones(3, bool))
STARTS = [argon(1), DOOMED, argon(1, seed=1), argon(1, seed=2)]
MD = ["-m", "keel", "md", "lj.json", "starts.extxyz", "-T", "80", "--length-fs", "2000", "--timestep", "4"]
MD += ["--checkpoint-every", "50", "--record-every", "100", "--max-atoms", "8", "--json"]
SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=30)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)


class TestSharing:
    @given(SIZES, st.integers(1, 8))
    def test_everything_is_dealt_once_and_evenly(self, work, count):
        shares = dealt(work, count)
        assert sorted(k for share in shares for k in share) == list(range(len(work)))
        assert all(share == sorted(share) for share in shares)
        loads = [sum(work[k] for k in share) for share in shares]
        assert max(loads) - min(loads) <= max(work)
        assert sum(map(bool, shares)) == min(count, len(work))

    @given(SIZES, st.integers(1, 120))
    def test_batches_keep_order_and_limit_and_are_few(self, sizes, most):
        batches = batched(sizes, [0] * len(sizes), most)
        assert [k for batch in batches for k in batch] == list(range(len(sizes)))
        atoms = [sum(sizes[k] for k in batch) for batch in batches]
        assert all(a <= most or len(batch) == 1 for a, batch in zip(atoms, batches, strict=True))
        # Two neighbours that fit into one would make one fewer possible, unless the others are then too full.
        assert len(batches) <= 2 * sum(sizes) / most + 1 + sum(size > most for size in sizes) * 2

    @pytest.mark.parametrize(("count", "most", "lengths"), [(8, 7, [4, 4]), (9, 4, [3, 3, 3]), (5, 5, [5])])
    def test_equal_structures_make_even_batches(self, count, most, lengths):
        assert [len(b) for b in batched([10] * count, [0] * count, 10 * most + 3)] == lengths

    def test_structures_of_different_steps_do_not_share_a_batch(self):
        assert batched([1, 1, 1, 1], [0, 0, 5, 0], 10) == [[0, 1], [2], [3]]


class TestParts:
    @pytest.mark.parametrize("name", ["hot.extxyz", "hot.3000K.h5", "hot.extxyz.gz", "a[1].traj"])
    def test_names_are_found_again(self, tmp_path, name):
        path = tmp_path / name
        assert begun_parts(path) is None
        part = part_of(path, 1, 3)
        assert part.suffixes[-1:] == path.suffixes[-1:] and "1-of-3" in part.name
        part.with_name(part.name + ".checkpoint").mkdir()
        assert begun_parts(path) == 3
        part.write_text("")
        assert begun_parts(path) == 3
        path.write_text("")
        with pytest.raises(DataError, match="in 1 and of 3 parts"):
            begun_parts(path)

    def test_other_names_are_of_others(self, tmp_path):
        for name in ("hotter.0-of-2.extxyz", "hot.0-of-2.h5", "hot.0-of-2.extxyz.bak", "hot.x-of-2.extxyz"):
            (tmp_path / name).write_text("")
        assert begun_parts(tmp_path / "hot.extxyz") is None


class Killed(BaseException):
    """Stands for a signal: no code of keel catches it."""


def as_rank(monkeypatch, rank, size, out, at=None, max_atoms=4):
    """Simulate what one process of some would; kill it after ``at`` steps."""

    class Pretended(Ranks):
        def gathered(self, compute):
            return compute()

    def callback(*_):
        nonlocal at
        at = None if at is None else at - 1
        if at is not None and at < 0:
            raise Killed

    settings = of_steps(40, 4.0, temperature=80, record_every=5, max_atoms=max_atoms)
    with monkeypatch.context() as patch:
        patch.setattr(Ranks, "started", classmethod(lambda cls, *_: Pretended(rank, size, "cpu")))
        # Each process but the last lacks the results of others.
        with suppress(KeyError, Killed):
            return simulate(LJ, STARTS, settings, out=out, checkpoint_every=7, callback=callback)


def same(a, b):
    assert a.keys() == b.keys()
    for run in a:
        assert [s.step for s in a[run]] == [s.step for s in b[run]]
        for s, t in zip(a[run], b[run], strict=True):
            np.testing.assert_array_equal(s.frame.positions, t.frame.positions)
            np.testing.assert_array_equal(s.velocities, t.velocities)


class TestRestart:
    @pytest.mark.parametrize(
        ("name", "before", "after"),
        [*(("a.extxyz", *parts) for parts in ((2, 2), (2, 1), (2, 3), (3, 2), (3, 5))), ("a.h5", 2, 1), ("a.h5", 2, 3)],
    )
    def test_any_number_of_processes_goes_on_with_all_parts(self, tmp_path, monkeypatch, name, before, after):
        as_rank(monkeypatch, 0, 1, tmp_path / "whole" / name)
        for rank in range(before):
            as_rank(monkeypatch, rank, before, tmp_path / name, at=10 + 5 * rank)
        for rank in range(after):
            if after > before and rank == 0:
                with pytest.warns(KeelWarning, match=f"begun in {before} parts"):
                    as_rank(monkeypatch, rank, after, tmp_path / name)
            else:
                as_rank(monkeypatch, rank, after, tmp_path / name)
        assert begun_parts(tmp_path / name) == before
        same(read_trajectories(tmp_path / "whole" / name), read_trajectories(tmp_path / name))

    def test_a_missing_part_is_not_passed_over(self, tmp_path, monkeypatch):
        as_rank(monkeypatch, 1, 2, tmp_path / "a.extxyz")
        with pytest.raises(DataError, match=r"a\.0-of-2\.extxyz: this part of a\.extxyz does not exist"):
            read_trajectories(tmp_path / "a.extxyz")

    def test_other_runs_are_refused(self, tmp_path, monkeypatch):
        as_rank(monkeypatch, 0, 2, tmp_path / "a.extxyz")
        with pytest.raises(ConfigError, match="other"):
            simulate(LJ, STARTS[:1], of_steps(40, 4.0, temperature=80), out=tmp_path / "a.extxyz")

    def test_no_process_is_without_a_run(self, tmp_path, monkeypatch):
        for rank in range(9):
            as_rank(monkeypatch, rank, 9, tmp_path / "a.extxyz", max_atoms=None)
        assert begun_parts(tmp_path / "a.extxyz") == len(STARTS)

    def test_too_large_batches_leave_processes_idle_and_say_so(self, tmp_path, monkeypatch):
        with pytest.warns(KeelWarning, match="1 of 3 processes are idle: max_atoms makes 2 batches"):
            as_rank(monkeypatch, 0, 3, tmp_path / "a.extxyz", max_atoms=8)

    def test_without_a_size_of_batches_only_rounding_differs(self, tmp_path, monkeypatch):
        for size in (1, 2):
            for rank in range(size):
                as_rank(monkeypatch, rank, size, tmp_path / f"{size}.h5", max_atoms=None)
        one, two = (read_trajectories(tmp_path / f"{size}.h5") for size in (1, 2))
        for run in one:
            for s, t in zip(one[run], two[run], strict=True):
                np.testing.assert_allclose(s.frame.positions, t.frame.positions, atol=1e-6)


class TestLauncher:
    @pytest.mark.parametrize(
        ("environment", "asked", "expected"),
        [
            ({}, (None, 1), (1, 1)),
            ({}, (4, 2), (4, 2)),
            ({"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}, (None, 1), (4, 2)),
            ({"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}, (3, 1), (4, 2)),
            ({"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}, (1, 1), (1, 1)),
            ({"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "8"}, (4, 2), (4, 2)),
            ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_NUM_NODES": "2"}, (None, 1), (4, 2)),
            ({"SLURM_NTASKS": "8", "SLURM_NNODES": "2"}, (None, 1), (1, 1)),  # a batch script without srun
            ({"LOCAL_RANK": "1", "WORLD_SIZE": "2"}, (2, 1), (2, 1)),  # started by keel
        ],
    )
    def test_whoever_started_the_processes_says_how_many(self, monkeypatch, environment, asked, expected):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert size_of_job(*asked) == expected

    @pytest.mark.parametrize(
        ("environment", "expected"),
        [
            ({}, True),
            ({"LOCAL_RANK": "1"}, False),
            ({"NODE_RANK": "1"}, False),
            ({"RANK": "4", "LOCAL_RANK": "0", "WORLD_SIZE": "8"}, False),
            ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "3"}, False),
            ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "0"}, True),
        ],
    )
    def test_one_speaks(self, monkeypatch, environment, expected):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert is_first() is expected

    @pytest.mark.parametrize(
        ("arguments", "gpus", "message"),
        [
            (("cuda", 1), 0, "no CUDA device"),
            (("cuda", 4), 2, "PyTorch sees 2"),
            (("auto", 4), 2, "PyTorch sees 2"),
            (("cuda:1", 2), 2, "one kind"),
            (("mps", 2), 0, "one device"),
            (("cpu", 0), 0, "at least 1"),
            (("cpu", 2, 0), 0, "at least 1"),
        ],
    )
    def test_what_is_not_there_is_refused(self, monkeypatch, arguments, gpus, message):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        with pytest.raises(ConfigError, match=message):
            launched(*arguments)

    def test_what_cannot_be_started_again_is_refused(self, monkeypatch):
        monkeypatch.setattr(sys, "argv", ["-c"])
        with pytest.raises(ConfigError, match="need a script"):
            simulate(LJ, STARTS, of_steps(1, temperature=80), compute=ComputeSettings(devices=2))

    def test_one_node_is_described_as_ever(self):
        assert "nodes" not in of_settings(TrainingSettings())
        assert of_settings(TrainingSettings(nodes=2))["nodes"] == 2
        assert TrainingSettings.model_validate_json(TrainingSettings(nodes=2).model_dump_json()).nodes == 2

    @pytest.mark.parametrize(
        ("told", "count", "names"),
        [
            (None, 2, ("0", "1")),
            (None, 0, ()),
            ("3, 5", 2, ("3", "5")),
            ("", 0, ()),
            ("GPU-a,GPU-b", 2, ("GPU-a", "GPU-b")),
        ],
    )
    def test_workers_see_gpus_by_name(self, told, count, names):
        assert visible_gpus(told, count) == names

    def test_a_process_ends_with_its_parent(self):
        child = "import keel.launch as l, time; l.end_with_parent(); print('ready', flush=True); "
        child += f"time.sleep({HANG}); print('outlived its parent')"
        parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
        with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"ready\n"
            process.kill()
            assert process.stdout.read() == b""  # it would stay open as long as the child lives


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a potential, structures, and what one process makes of them."""
    folder = tmp_path_factory.mktemp("md")
    LJ.save(str(folder / "lj.json"))
    keel.write(folder / "starts.extxyz", STARTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        output = CliRunner().invoke(app, [*MD[2:], "--out", "one.extxyz"]).stdout
    (folder / "one.json").write_text(output)
    return folder


# As the command line, but it dies once it has kept a checkpoint: neither before it has begun nor after its end.
DYING = """
import os, signal
from keel.cli import main
from keel.dynamics import recorder

save = recorder.save_checkpoint

def save_and_die(*arguments):
    save(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

recorder.save_checkpoint = save_and_die
main()
"""


def started(folder, out, *options, dying=False, **environment):
    command = ["-c", DYING, *MD[2:]] if dying else MD
    return subprocess.Popen(
        [sys.executable, *command, "--out", out, *options],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **{k: str(v) for k, v in environment.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def as_torchrun(folder, out):
    """Start two processes as torchrun does, the second of which will be killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {"WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [started(folder, out, dying=k == 1, RANK=k, LOCAL_RANK=k, **told) for k in range(2)]


def finished(process):
    output, errors = process.communicate(timeout=HANG)
    return process.returncode, output, errors.decode()


@pytest.mark.slow
def test_a_killed_process_loses_nothing(folder):
    """Two of torchrun, one of which is killed; then two of keel go on."""
    first, second = as_torchrun(folder, "hot.extxyz")
    code, output, errors = finished(first)
    assert (code, output) == (2, b"") and "another process of this job has died" in errors
    assert finished(second)[0] == -signal.SIGKILL

    code, output, errors = finished(started(folder, "hot.extxyz", "--devices", "2"))
    assert (code, errors) == (0, "")
    assert output == (folder / "one.json").read_bytes()
    assert json.loads(output)["failure_cause"][1] is not None
    assert begun_parts(folder / "hot.extxyz") == 2
    same(read_trajectories(folder / "one.extxyz"), read_trajectories(folder / "hot.extxyz"))


def test_an_error_of_one_is_raised_in_all(monkeypatch):
    def everyone(results, mine, group):
        results[:] = [mine, DataError("the disk is full")]

    monkeypatch.setattr(torch.distributed, "all_gather_object", everyone)
    monkeypatch.setattr("keel.dynamics.spread._group", lambda: None)
    with pytest.raises(DataError, match="full"):
        Ranks(0, 2, "cpu").gathered(lambda: [1])

    def broken(results, mine, group):
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(torch.distributed, "all_gather_object", broken)
    with pytest.raises(KeelError, match="died"):
        Ranks(0, 2, "cpu").gathered(lambda: [1])


@pytest.mark.slow
def test_two_processes_train_one_network(tmp_path):
    write(tmp_path / "argon.extxyz", [f.replace(**labels_of(f)) for f in (argon(1, seed=s) for s in range(8))])
    keel.LennardJones(cutoff=4.0).save(str(tmp_path / "teacher.json"))
    command = [sys.executable, "-m", "keel", "train", "argon.extxyz", "--preset", "small", "--steps", "10"]
    command += ["--teacher", "teacher.json", "--out", "model", "--device", "cpu", "--devices", "2"]
    command += ["--logger", "csv"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=HANG, check=False)
    assert told.returncode == 0, told.stderr
    assert told.stderr.count("potential: model") == 1
    assert keel.load(tmp_path / "model" / "potential.safetensors").elements == (18,)
    steps = (tmp_path / "model" / "metrics.csv").read_text().splitlines()
    assert len(steps) == 11
    logged = (tmp_path / "model" / "logs" / "csv" / "metrics.csv").read_text().splitlines()
    assert len(logged) == 11, "the first process alone writes"


def labels_of(frame):
    found = LJ.double()(keel.batch(frame, 6.0, dtype=torch.float64))
    return {"energy": float(found.energy), "forces": found.forces.numpy()}

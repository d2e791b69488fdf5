"""Simulations on disk: a killed one goes on and ends with the same numbers and files; failures leave valid files."""

import errno
import json
import os
import resource
import subprocess
import sys
from contextlib import suppress
from itertools import product
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import units
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import keel
from keel.cli import app
from keel.dynamics import ComputeSettings, Snapshot, read_trajectories, recorder, simulate
from keel.dynamics.changed_file import PAGE, ChangedFile
from keel.errors import ConfigError, DataError, KeelWarning, UnavailableError
from keel.potentials import LennardJones
from simulated import Given, argon, molecule, of_steps

LJ = LennardJones(cutoff=6.0)
FORMATS = ["extxyz", "extxyz.gz", "h5", "traj"]
# Two atoms on the repulsive wall: this run overheats after some steps, and the others do not notice.
DOOMED = molecule([[0, 0, 0], [2.7, 0, 0]], [18, 18]).replace(cell=np.eye(3) * 20, pbc=np.ones(3, bool))
STARTS = [argon(1), DOOMED, argon(1, seed=1), argon(1, seed=2)]


class Killed(BaseException):
    """Stands for a signal: no code of keel catches it."""


def run(out, starts=STARTS, steps=60, potential=LJ, *, precision="float32", device=None, **options):
    arguments = {name: options.pop(name) for name in ("criteria", "runs", "callback") if name in options}
    arguments |= {"out": out, "checkpoint_every": options.pop("checkpoint_every", 7)}
    settings = of_steps(steps, 4.0, **{"temperature": 80, "record_every": 3, "seed": 5, "max_atoms": 10, **options})
    compute = ComputeSettings(precision=precision, device=device)
    return simulate(potential, starts, settings, compute=compute, **arguments)


def killed(out, at: int, **options) -> None:
    """Simulate until the batches have taken ``at`` steps together."""

    def callback(*_):
        nonlocal at
        at -= 1
        if at < 0:
            raise Killed

    with pytest.raises(Killed):
        run(out, callback=callback, **options)


def assert_same(results, expected) -> None:
    for a, b in zip(results, expected, strict=True):
        assert (a.run, a.time, a.cause, len(a.recent)) == (b.run, b.time, b.cause, len(b.recent))
        for s, t in zip((*a.recent, a.last), (*b.recent, b.last), strict=True):
            assert (s.step, s.time, s.frame.energy, s.frame.source) == (t.step, t.time, t.frame.energy, t.frame.source)
            for name in ("positions", "cell", "forces"):
                np.testing.assert_array_equal(getattr(s.frame, name), getattr(t.frame, name))
            np.testing.assert_array_equal(s.velocities, t.velocities)
        if b.failed is not None:
            np.testing.assert_array_equal(a.failed.frame.positions, b.failed.frame.positions)


# --- What is written ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_holds_what_memory_held(tmp_path, suffix):
    path = tmp_path / f"hot.{suffix}"
    kept, written = run(None), run(path)
    assert_same(written, kept)
    assert [t.cause for t in kept] == [None, kept[1].cause, None, None]
    assert kept[1].cause == "temperature" and 8 < kept[1].time < 160
    for trajectory, snapshots in zip(kept, read_trajectories(path).values(), strict=True):
        expected = list({s.step: s for s in (*trajectory.snapshots, trajectory.last)}.values())
        assert [(s.step, s.time) for s in snapshots] == [(s.step, s.time) for s in expected]
        for s, t in zip(snapshots, expected, strict=True):
            np.testing.assert_array_equal(s.frame.positions, t.frame.positions)
            np.testing.assert_array_equal(s.frame.cell, t.frame.cell)
            np.testing.assert_array_equal(s.frame.forces, t.frame.forces)
            np.testing.assert_allclose(s.velocities, t.velocities, rtol=1e-14)
            assert s.frame.energy == t.frame.energy


@pytest.mark.parametrize("suffix", ["extxyz", "traj"])
def test_ase_reads_it(tmp_path, suffix):
    (trajectory,) = run(tmp_path / f"hot.{suffix}", [argon(1)], steps=6)
    atoms = ase.io.read(tmp_path / f"hot.{suffix}", index=-1)
    assert atoms.info["step"] == 6 and atoms.info["time_fs"] == 24.0 and atoms.info["run"] == 0
    assert atoms.get_potential_energy() == trajectory.last.frame.energy
    velocities = atoms.arrays["velocities"] if suffix == "extxyz" else atoms.get_velocities() * units.fs
    np.testing.assert_allclose(velocities, trajectory.last.velocities, rtol=1e-12)


def test_a_written_state_can_be_continued(tmp_path):
    run(tmp_path / "part.extxyz", [argon(1)], steps=30)
    part = read_trajectories(tmp_path / "part.extxyz")[0][-1]
    assert isinstance(part, Snapshot) and part.step == 30
    (rest,), (whole,) = run(None, [part]), run(None, [argon(1)])
    np.testing.assert_array_equal(rest.last.frame.positions, whole.last.frame.positions)
    np.testing.assert_array_equal(rest.last.velocities, whole.last.velocities)


# --- Killed and continued -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ensemble", "suffix"),
    [*product(["npt"], FORMATS), ("nvt", "extxyz"), ("nve", "h5")],  # of all, npt keeps most
)
def test_a_killed_simulation_ends_with_the_same_numbers_and_files(tmp_path, ensemble, suffix):
    options = {"ensemble": ensemble, "pressure": 0.1, "compressibility": 0.5}
    whole, path = tmp_path / f"whole.{suffix}", tmp_path / f"killed.{suffix}"
    expected = run(whole, **options)
    assert [t.cause is None for t in expected] == [True, False, True, True]
    # The two batches take 60 steps each; the doomed run ends early.
    for at in (3, 29, 41, 30):
        killed(path, at, **options)
        with open(path, "ab") as file:
            file.write(b"what was being written")
    assert_same(run(path, **options), expected)
    assert path.read_bytes() == whole.read_bytes()


@settings(max_examples=8)
@given(st.data())
def test_killed_anywhere_in_a_commit(tmp_path_factory, data):
    """Every call that touches the disk is a place to die, before or after it."""
    suffix = data.draw(st.sampled_from(["extxyz", "h5", "traj"]))
    folder = tmp_path_factory.mktemp("killed")
    expected = run(folder / f"whole.{suffix}", steps=24)
    path = folder / f"killed.{suffix}"
    for _ in range(3):
        place = data.draw(st.sampled_from(["write_tail", "save_checkpoint", "finish"]))
        with pytest.MonkeyPatch.context() as patch:
            dying(patch, place, data.draw(st.integers(1, 7)), after=data.draw(st.booleans()))
            with suppress(Killed):
                run(path, steps=24)
    assert_same(run(path, steps=24), expected)
    assert path.read_bytes() == (folder / f"whole.{suffix}").read_bytes()


def dying(patch, place: str, countdown: int, after: bool) -> None:
    """Die at the n-th call of a part of a commit, or at the first of the end."""
    owner = recorder if place == "save_checkpoint" else recorder.Changes
    original, calls = getattr(owner, place), [0]

    def mortal(*arguments):
        calls[0] += 1
        dies = calls[0] >= countdown
        if dies and not after:
            raise Killed
        original(*arguments)
        if dies:
            raise Killed

    patch.setattr(owner, place, mortal)


SCRIPT = """
import os, random, signal, sys
sys.path[:0] = {folders!r}
from test_trajectories import long_run
moments, deaths = random.Random(1), 0

def die_after(calls):
    def count(*_):
        nonlocal calls
        calls -= 1
        if calls == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(count)

for _ in range(5):
    moment = moments.randrange({calls})
    child = os.fork()
    if child == 0:
        die_after(moment)
        long_run({path!r})
        os._exit(0)
    deaths += os.waitpid(child, 0)[1] == signal.SIGKILL
print(deaths)
"""
CALLS = 150_000
"""A long run calls and leaves functions, of Python and of C, 0.8 million times: one of the first is where it dies."""


def long_run(path):
    return run(path, steps=300, checkpoint_every=10, record_every=5)


def test_killed_by_a_signal(tmp_path):
    expected, path = long_run(tmp_path / "whole.h5"), tmp_path / "killed.h5"
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    script = SCRIPT.format(folders=folders, path=str(path), calls=CALLS)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    told = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert int(told.stdout) == 5
    assert_same(long_run(path), expected)
    assert path.read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_a_finished_simulation_is_returned_at_once(tmp_path):
    class Counting(LennardJones):
        def forward(self, *arguments, **options):
            calls.append(1)
            return super().forward(*arguments, **options)

    calls: list[int] = []
    first = run(tmp_path / "a.extxyz", potential=Counting(cutoff=6.0), precision="float64")
    before, content = len(calls), (tmp_path / "a.extxyz").read_bytes()
    again = run(tmp_path / "a.extxyz", potential=Counting(cutoff=6.0), precision="float64")
    assert len(calls) == before > 100
    assert_same(again, first)
    assert (tmp_path / "a.extxyz").read_bytes() == content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 90}, "temperature 80 instead of 90"),
        ({"ensemble": "nve"}, "ensemble nvt instead of nve"),
        ({"steps": 61}, "steps 60 instead of 61"),
        ({"potential": LennardJones(cutoff=5.0)}, "other potential"),
        ({"starts": STARTS[::-1]}, "other starts"),
        ({"criteria": ()}, "other criteria"),
        ({"precision": "float64"}, r"dtype torch\.float32 instead of torch\.float64"),
    ],
)
def test_other_settings_are_refused(tmp_path, change, message):
    path = tmp_path / "a.extxyz"
    killed(path, 20)
    content = path.read_bytes()
    with pytest.raises(ConfigError, match=message):
        run(path, **change)
    assert path.read_bytes() == content


# --- Members that cannot be evaluated -------------------------------------------------------------------------------


class Choosy(LennardJones):
    """Raises an error once an atom has left a sphere."""

    def forward(self, graph, **options):
        if bool((graph.positions[graph.numbers == 10].norm(dim=1) > 3.0).any()):
            raise ValueError("the neon is gone\nand more lines")
        return super().forward(graph, **options)


FLYING = Snapshot(molecule([[0, 0, 0]], [10]), np.array([[0.11, 0, 0]]), 0, 0.0)


def still(frame) -> Snapshot:
    return Snapshot(frame, np.zeros((len(frame), 3)), 0, 0.0)


@pytest.mark.parametrize("ensemble", ["nve", "npt"])
def test_an_error_of_the_potential_ends_one_run(tmp_path, ensemble):
    flying = FLYING.frame.replace(cell=np.eye(3) * 30, pbc=np.ones(3, bool))
    starts = [still(argon(1)), Snapshot(flying, FLYING.velocities, 0, 0.0), still(argon(1, seed=1))]
    options = {"ensemble": ensemble, "potential": Choosy(cutoff=6.0), "precision": "float64", "pressure_time_fs": 1e6}
    options |= {"friction_per_fs": 0.0, "criteria": (), "max_atoms": 100}
    with pytest.warns(KeelWarning, match="run 1 ended after [67] steps: the neon is gone$"):
        results = run(None, starts, **options)
    assert [t.cause for t in results] == [None, "evaluation error", None]
    assert results[1].last.frame.positions[0, 0] < 3.0 < results[1].failed.frame.positions[0, 0]
    assert results[1].time == results[1].failed.time
    for k in (0, 2):
        (alone,) = run(None, [starts[k]], runs=[k], **options)
        np.testing.assert_allclose(results[k].last.frame.positions, alone.last.frame.positions, atol=1e-9)
    with pytest.warns(KeelWarning):
        assert_same(run(tmp_path / "a.extxyz", starts, **options), results)


def test_an_error_of_the_whole_batch_is_raised():
    class Crowded(LennardJones):
        def forward(self, graph, **options):
            if graph.n_structures > 1 and bool((graph.positions[-1] != start).any()):
                raise MemoryError("no room")
            return super().forward(graph, **options)

    start = torch.from_numpy(argon(1).positions[-1])
    with pytest.raises(MemoryError, match="no room"):
        run(None, [argon(1), argon(1)], potential=Crowded(cutoff=6.0), precision="float64")


def test_a_collapsed_cell_ends_one_run():
    """Without a repulsive wall a cell shrinks until its neighbours would fill the memory."""
    gas = Given(lambda graph: torch.zeros_like(graph.positions))
    squeezed = {"ensemble": "npt", "pressure": 1e4, "pressure_time_fs": 1.0, "criteria": (), "max_atoms": 100}
    with pytest.warns(KeelWarning, match="more than 50000 neighbours"):
        results = run(None, [argon(1), argon(1, a=15.0)], potential=gas, precision="float64", **squeezed)
    assert {t.cause for t in results} == {"evaluation error"}


# --- Disks that fail ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["extxyz", "h5", "traj"])
def test_a_full_disk(tmp_path, suffix):
    """The limit on the size of a file is a write that fails in the middle, for root too."""
    whole, path = tmp_path / f"whole.{suffix}", tmp_path / f"full.{suffix}"
    expected = run(whole)
    killed(path, 50)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 1000, hard))
    try:
        with pytest.raises(DataError, match=r"cannot be written .*; the same call continues from the last checkpoint"):
            run(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert 0 < len(read_trajectories(path)[0]) <= len(read_trajectories(whole)[0])
    assert_same(run(path), expected)
    assert path.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_checkpoint_that_cannot_be_written(tmp_path, monkeypatch, code):
    expected, path = run(tmp_path / "whole.extxyz"), tmp_path / "full.extxyz"
    killed(path, 20)
    content = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", failing(code))
        with pytest.raises(DataError, match=os.strerror(code)):
            run(path)
    assert path.read_bytes() == content and not list(tmp_path.rglob(".writing-*"))
    assert_same(run(path), expected)


def failing(code: int):
    def write(*_):
        raise OSError(code, os.strerror(code))

    return write


def test_places_that_cannot_be_used(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match=r"cannot be written .*; nothing was simulated"):
        run(tmp_path / "file" / "hot.extxyz")
    (tmp_path / "mine.extxyz").write_text("precious")
    with pytest.raises(DataError, match="has no checkpoints to continue from"):
        run(tmp_path / "mine.extxyz")
    assert (tmp_path / "mine.extxyz").read_text() == "precious"
    with pytest.raises(DataError, match=r"written as \.extxyz"):
        run(tmp_path / "hot.npz")
    with pytest.raises(ConfigError, match="checkpoint_every"):
        run(tmp_path / "hot.extxyz", checkpoint_every=0)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UnavailableError, match="pip install"):
        run(tmp_path / "hot.h5")


def test_a_trajectory_or_checkpoint_that_was_damaged(tmp_path):
    path = tmp_path / "a.extxyz"
    killed(path, 20)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match="its checkpoints count on"):
        run(path)
    path.write_bytes(content)
    (tmp_path / "a.extxyz.checkpoint" / "batch-00000.safetensors").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="checkpoint is damaged"):
        run(path)
    with pytest.raises(DataError, match="no such file"):
        read_trajectories(tmp_path / "b.extxyz")
    keel.write(tmp_path / "c.extxyz", argon(1))
    with pytest.raises(DataError, match="not a trajectory written by keel"):
        read_trajectories(tmp_path / "c.extxyz")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_an_absent_gpu(tmp_path):
    with pytest.raises(ConfigError, match="the device 'cuda' cannot be used here"):
        run(tmp_path / "a.extxyz", device="cuda")
    assert not list(tmp_path.iterdir())


# --- The file in memory ---------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.integers(0, 3 * PAGE), st.data())
def test_changes_are_those_of_a_real_file(tmp_path_factory, size, data):
    folder = tmp_path_factory.mktemp("changes")
    real, other = folder / "real", folder / "other"
    content = np.random.default_rng(size).bytes(size)
    real.write_bytes(content)
    other.write_bytes(content + b"left over")
    changed = ChangedFile(other, size)
    with open(real, "r+b") as file:
        for _ in range(data.draw(st.integers(0, 6))):
            place, length = data.draw(st.integers(0, 4 * PAGE)), data.draw(st.integers(0, 2 * PAGE))
            kind = data.draw(st.sampled_from(["write", "read", "truncate"]))
            for f in (file, changed):
                f.seek(place)
            if kind == "write":
                assert file.write(b"x" * length) == changed.write(b"x" * length)
            elif kind == "read":
                assert file.read(length) == changed.read(length)
            else:
                assert file.truncate(place) == changed.truncate(place)
    assert other.read_bytes() == content + b"left over"
    changes = changed.changes()
    changes.write_tail(other)
    assert other.read_bytes()[:size] == content
    for _ in range(2):
        changes.finish(other)
        assert other.read_bytes() == real.read_bytes()


# --- The command ----------------------------------------------------------------------------------------------------


def test_the_command_goes_on(tmp_path, monkeypatch):
    LJ.save(tmp_path / "lj.json")
    keel.write(tmp_path / "starts.extxyz", STARTS)
    arguments = ["md", str(tmp_path / "lj.json"), str(tmp_path / "starts.extxyz"), "-T", "80", "--length-fs", "40"]
    arguments += ["--json", "--checkpoint-every", "10"]
    plain = CliRunner().invoke(app, arguments)
    with monkeypatch.context() as patch:
        dying(patch, "save_checkpoint", 3, after=True)
        with pytest.raises(Killed):
            CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "a.h5")])
    for _ in range(2):
        shown = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "a.h5")])
        assert json.loads(shown.stdout) == json.loads(plain.stdout)
    assert [s.step for s in read_trajectories(tmp_path / "a.h5")[0]] == [0, 10, 20, 30, 40]

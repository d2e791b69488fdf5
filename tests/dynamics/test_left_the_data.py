"""Simulations with potentials beside: what is recorded, and runs that end because these disagree."""

from __future__ import annotations

import json
import warnings
from functools import cache

import ase.io
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import keel
from keel.cli import app
from keel.disagreement import force_disagreement
from keel.dynamics import read_trajectories, simulate, stability
from keel.dynamics.results import LEFT_THE_DATA
from keel.errors import ConfigError, DataError, KeelWarning
from simulated import Given, argon, molecule, of_steps
from small_potentials import eam

LJ, STRONG = keel.LennardJones(cutoff=6.0), keel.LennardJones(epsilon=0.0156, cutoff=6.0)
# Two atoms that fly at each other from afar: the force, and with it the disagreement, grows as they meet.
MEETING = molecule([[0, 0, 0], [6.5, 0, 0]], [18, 18]).replace(velocities=np.array([[0.02, 0, 0], [-0.02, 0, 0]]))
FAST = {"temperature": 0, "ensemble": "nve", "velocities": "file", "record_every": 7}
CALM = argon(1, 0.01).replace(velocities=np.zeros((4, 3)))


class Killed(BaseException):
    """Stands for a signal."""


def run(starts=(MEETING, CALM), out=None, beside=(STRONG,), callback=None, **options):
    settings = of_steps(60, 2.0, **{**FAST, **options})
    return simulate(
        LJ, list(starts), settings, criteria=(), out=out, beside=beside, checkpoint_every=11, callback=callback
    )


def largest(frame) -> float:
    return float(force_disagreement(LJ, STRONG, frame)[0].max())


@cache
def limit() -> tuple[float, int]:
    """Return a disagreement that the atoms that meet exceed, and the first multiple of four steps at which they do."""
    (free,) = run([MEETING], record_every=4)
    largest_of = {s.step: largest(s.frame) for s in free.snapshots}
    limit = 0.5 * max(largest_of.values())
    return limit, next(step for step, value in largest_of.items() if value > limit)


@pytest.mark.parametrize("suffix", ["extxyz", "traj", "h5"])
def test_recorded_states_say_how_far_the_others_disagree(tmp_path, suffix):
    path = tmp_path / f"hot.{suffix}"
    kept = run()
    run(out=path)
    for trajectory, snapshots in zip(kept, read_trajectories(path).values(), strict=True):
        assert [s.step for s in snapshots] == [*range(0, 60, 7), 60]
        for snapshot, other in zip(snapshots, (*trajectory.snapshots, trajectory.last), strict=True):
            expected = force_disagreement(LJ, STRONG, snapshot.frame)[0]
            np.testing.assert_allclose(snapshot.disagreement, expected, rtol=1e-5, atol=1e-12)
            np.testing.assert_array_equal(snapshot.disagreement, other.disagreement)
            assert "force_disagreement" not in snapshot.frame.info
    if suffix == "extxyz":
        last = ase.io.read(path, index=-1)
        np.testing.assert_array_equal(last.arrays["force_disagreement"], kept[1].last.disagreement)
        assert keel.read(path)[0].forces is not None


def test_a_run_ends_at_the_first_comparison_beyond_the_limit_and_the_other_goes_on():
    above, first = limit()
    assert 12 < first < 60
    with pytest.warns(
        KeelWarning, match=rf"run 0 left the data after {first} steps: the force on atom \d \(Ar\) differs"
    ):
        meeting, calm = run(stop_above=above, compare_every=4)
    assert (meeting.cause, meeting.time, meeting.last.step) == (LEFT_THE_DATA, 2.0 * first, first)
    assert meeting.last.disagreement.max() > above and meeting.recent[-1] is meeting.last
    np.testing.assert_array_equal(meeting.last.frame.positions, meeting.failed.frame.positions)
    assert calm.survived and calm.last.step == 60


def test_leaving_the_data_is_no_failure():
    settings = of_steps(60, 2.0, **FAST, stop_above=1e-6)
    with pytest.warns(KeelWarning, match="left the data"):
        result = stability(LJ, [MEETING, MEETING], settings, criteria=(), beside=[STRONG])
    assert result.causes == [LEFT_THE_DATA] * 2 and result.failed == [False, False]
    assert result.failed_share == 0 and result.first_failure is None and result.survival.median is None
    assert result.cause_shares == {LEFT_THE_DATA: 1.0}
    assert "failed 0; left the data 2" in repr(result)


@pytest.mark.parametrize("after", [12, 45])
def test_a_killed_simulation_ends_with_the_same_numbers(tmp_path, after):
    above, first = limit()
    at, options = (after if after < first else after + first), {"stop_above": above, "compare_every": 4, "max_atoms": 2}

    def callback(*_):
        nonlocal at
        at -= 1
        if at < 0:
            raise Killed

    with pytest.warns(KeelWarning, match="left the data"):
        expected = run(out=tmp_path / "whole.extxyz", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KeelWarning)
        with pytest.raises(Killed):
            run(out=tmp_path / "killed.extxyz", callback=callback, **options)
        found = run(out=tmp_path / "killed.extxyz", **options)
    assert (tmp_path / "killed.extxyz").read_bytes() == (tmp_path / "whole.extxyz").read_bytes()
    assert [t.cause for t in found] == [t.cause for t in expected] == [LEFT_THE_DATA, None]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.last.disagreement, other.last.disagreement)
    with pytest.raises(ConfigError, match="other beside"):
        run(out=tmp_path / "killed.extxyz", beside=[LJ], **options)


def test_without_potentials_beside_checkpoints_are_those_of_before(tmp_path):
    run(out=tmp_path / "hot.extxyz", beside=())
    told = json.loads((tmp_path / "hot.extxyz.checkpoint" / "settings.json").read_text())
    assert not {"beside", "stop_above", "compare_every"} & set(told)
    assert "force_disagreement" not in (tmp_path / "hot.extxyz").read_text()


def test_a_structure_that_one_beside_refuses_ends_its_run_alone():
    def forces(graph):
        if float((graph.positions[0] - graph.positions[1]).norm()) < 6.0:
            raise ValueError("far too close")
        return torch.zeros_like(graph.positions)

    apart = molecule([[0, 0, 0], [9.0, 0, 0]], [18, 18]).replace(velocities=np.zeros((2, 3)))
    with pytest.warns(KeelWarning, match="run 0 left the data .* cannot be compared with that of the Given beside"):
        meeting, other = run([MEETING, apart], beside=[Given(forces)], stop_above=1.0)
    assert meeting.cause == LEFT_THE_DATA and np.isinf(meeting.last.disagreement).all()
    assert other.survived and not other.last.disagreement.any()


def test_mistakes_end_in_one_sentence():
    with pytest.raises(ConfigError, match=r"stop_above compares forces .* name one beside"):
        run(beside=(), stop_above=1.0)
    with pytest.raises(DataError, match="the EAM beside knows O, Si but the structures contain Ar"):
        run(beside=[eam()])


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, potential in (("lj", LJ), ("strong", STRONG)):
        potential.save(f"{name}.json")
    keel.write("starts.extxyz", [argon(1)])
    given = ["md", "lj.json", "starts.extxyz", "-T", "80", "--length-fs", "20"]
    told = CliRunner().invoke(app, [*given, "--beside", "strong.json", "--out", "hot.extxyz"]).output
    assert "disagreement" in told and ase.io.read("hot.extxyz").arrays["force_disagreement"].shape == (4,)
    told = CliRunner().invoke(app, [*given, "--beside", "strong.json", "--beside", "lj.json", "--stop-above", "1e-6"])
    assert told.exit_code == 0 and "0 % failed" in told.output and "left the data: 100 %" in told.output
    assert "from those of the 2 potentials beside" in " ".join(told.output.split())
    refused = CliRunner().invoke(app, [*given, "--stop-above", "1"])
    assert "--stop-above needs --beside" in str(refused.exception)

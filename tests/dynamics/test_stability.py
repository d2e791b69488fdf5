"""Every cause of failure is provoked by a potential that is broken in just this way."""

import contextlib
import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import keel
from keel.cli import app
from keel.dynamics import (
    AtomsLost,
    ComputeSettings,
    ForceCap,
    FusedAtoms,
    MDSettings,
    NonFinite,
    Overheated,
    default_criteria,
    find_rung,
    simulate,
    stability,
)
from keel.errors import ConfigError
from keel.evaluation import RDF, RDFWindow, rdf
from keel.potentials import LennardJones
from simulated import Given, Spring, argon, molecule, of_steps

DOUBLE = ComputeSettings(precision="float64")
DIMER = molecule([[0, 0, 0], [3.0, 0, 0]], [18, 18])
PAIRED = molecule([[0, 0, 0], [2.0, 0, 0], [40, 0, 0], [42, 0, 0]], [18] * 4)


def towards_each_other(strength: float):
    """Forces along the edges: positive attracts."""

    def forces(graph):
        i, _ = graph.edge_index
        vectors = graph.edge_vectors()
        unit = vectors / vectors.norm(dim=1, keepdim=True)
        return torch.zeros_like(graph.positions).index_add(0, i, strength * unit)

    return forces


def runaway(strength: float):
    """Forces that feed any displacement from the centre of mass along z, without ever bringing atoms together."""

    def forces(graph):
        force = torch.zeros_like(graph.positions)
        force[:, 2] = strength
        return force

    return forces


def after(x: float, value: float):
    """Forces of one value once the first atom has come to x."""
    return lambda graph: torch.where(graph.positions[:1, :1] > x, value, 0.0).expand_as(graph.positions).clone()


def one(potential, start, *, temperature=1.0, steps=400, ensemble="nve", criteria=None, **options):
    settings = of_steps(steps, temperature=temperature, ensemble=ensemble, **options)
    return simulate(potential, [start], settings, criteria=criteria, compute=DOUBLE)[0]


def test_non_finite():
    result = one(Given(after(1e-3, float("nan"))), DIMER, temperature=50)
    assert result.cause == "non-finite" and 0 < result.time < 400
    assert np.isfinite(result.last.frame.forces).all() and np.isnan(result.failed.frame.forces).all()


def test_temperature():
    result = one(Given(runaway(1.0)), DIMER, temperature=100.0)
    assert result.cause == "temperature"
    # 10 T0 = 1000 K is the lower of the two limits: 2 atoms pushed by 1 eV/angstrom reach it after some 15 fs.
    assert result.last.temperature <= 1000 < result.failed.temperature
    hot = one(Given(runaway(1.0)), DIMER, temperature=5000.0, criteria=[Overheated()])
    assert hot.last.temperature <= 15000 < hot.failed.temperature


def test_fused_atoms():
    result = one(Given(towards_each_other(0.5)), DIMER, temperature=50, criteria=[FusedAtoms()])
    assert result.cause == "fused atoms"
    limit = 0.5 * 2 * 1.06
    before, after_ = (np.linalg.norm(np.diff(s.frame.positions, axis=0)) for s in (result.last, result.failed))
    assert after_ < limit <= before


def test_atoms_fuse_through_the_boundary_and_with_their_own_image():
    across = keel.Frame(np.array([18, 18]), np.array([[0.2, 5, 5], [9.8, 5, 5]]), 10 * np.eye(3), np.ones(3, bool))
    image = keel.Frame(np.array([18]), np.zeros((1, 3)), np.diag([0.9, 9, 9]), np.ones(3, bool))
    for start in (across, image):
        result = one(Given(lambda graph: torch.zeros_like(graph.positions)), start)
        assert (result.cause, result.time) == ("fused atoms", 0.0) and result.last is not None


def test_fused_atoms_are_seen_beyond_a_short_cutoff():
    caesium = molecule([[0, 0, 0], [2.0, 0, 0], [5, 5, 5], [7.5, 5, 5]], [55] * 4)
    short = Given(lambda graph: torch.zeros_like(graph.positions), cutoff=1.0)
    assert one(short, caesium, criteria=[FusedAtoms()]).cause == "fused atoms"
    assert one(short, caesium, criteria=[AtomsLost()]).cause == "atoms lost"


def test_force():
    squeezed = molecule([[0, 0, 0], [2.0, 0, 0]], [18, 18])
    result = one(LennardJones(), squeezed)
    assert (result.cause, result.time, result.snapshots) == ("force", 0.0, ())
    assert one(LennardJones(), squeezed, criteria=[ForceCap(1e5)], steps=5).survived


def test_atoms_lost():
    result = one(Given(towards_each_other(-0.1)), DIMER, temperature=300)
    assert result.cause == "atoms lost"
    before, after_ = (np.linalg.norm(np.diff(s.frame.positions, axis=0)) for s in (result.last, result.failed))
    assert before < 4.0 <= after_
    alone = molecule([[0, 0, 0]], [18])
    assert one(LennardJones(), alone, steps=5).survived


def test_rdf():
    crystal = argon(rattle=0.0)
    reference = rdf([argon(rattle=0.15, seed=k) for k in range(20)], r_max=6.0, n_bins=60)
    window = RDFWindow(reference, delta=3.0, window=40.0, every=4)
    free = Given(lambda graph: torch.zeros_like(graph.positions))
    assert one(free, crystal, temperature=0.0, criteria=[RDFWindow(reference, 30.0, 40.0, 4)], steps=80).survived
    melted = one(free, crystal, temperature=20_000.0, criteria=[window], steps=400)
    assert melted.cause == "rdf" and melted.time > 0 and melted.time % 40 == 0
    cold = one(LennardJones(), argon(rattle=0.15), temperature=80.0, criteria=[window], steps=120, ensemble="nvt")
    assert cold.survived


def test_rdf_window_measures_what_rdf_measures():
    reference = rdf([argon(rattle=0.1)], r_max=6.0, n_bins=60)
    start = keel.Frame(
        np.array([8, 14, 8, 8]), np.random.default_rng(0).random((4, 3)) * 5, 5 * np.eye(3), np.ones(3, bool)
    )
    window = RDFWindow(rdf([start], r_max=6.0, n_bins=60), window=1e9, every=1)
    still = Given(lambda graph: torch.zeros_like(graph.positions))
    one(still, start, temperature=0.0, criteria=[window], steps=3)
    assert set(window._sums[0]) == {"O-O", "O-Si", "Si-Si", "total"}
    assert window._distance(0) == pytest.approx(0.0, abs=1e-9)
    other = RDFWindow(rdf([start.replace(positions=start.positions * 0.9)], r_max=6.0, n_bins=60), window=1e9, every=1)
    one(still, start, temperature=0.0, criteria=[other], steps=3)
    assert other._distance(0) > 1 and reference.n_frames == 1


def test_an_interrupted_window_of_g_of_r_is_seen_whole_again(tmp_path):
    crystal = argon(rattle=0.1)
    reference = rdf([argon(rattle=0.15)], r_max=6.0, n_bins=60)
    settings = MDSettings(temperature=300, length_fs=120, record_every=0, seed=1)

    def distances(out, stop_at=None):
        window = RDFWindow(reference, delta=1e9, window=40.0, every=4)
        seen, measure = [], window._distance

        def watched(run):
            seen.append(measure(run))
            return seen[-1]

        def callback(done, _):
            if done == stop_at:
                raise KeyboardInterrupt

        object.__setattr__(window, "_distance", watched)
        with contextlib.suppress(KeyboardInterrupt):
            simulate(
                LennardJones(), [crystal], settings, criteria=[window], out=out, checkpoint_every=10, callback=callback
            )
        return seen

    whole = distances(tmp_path / "whole.extxyz")
    before, after = distances(tmp_path / "cut.extxyz", stop_at=55), distances(tmp_path / "cut.extxyz")
    assert len(whole) == 3 and before == whole[:1]
    assert after == whole[1:]


def test_every_number_of_a_long_reference_distinguishes_simulations():
    one, other = (
        RDFWindow(RDF(np.linspace(0, 6, 1500), {"total": np.where(np.arange(1500) == 700, x, 1.0)}, 1))
        for x in (1.0, 2.0)
    )
    assert repr(one) != repr(other)


def test_criteria_in_order_name_the_cause():
    squeezed = molecule([[0, 0, 0], [0.5, 0, 0]], [18, 18])
    order = (ForceCap(), FusedAtoms())
    assert one(LennardJones(), squeezed, criteria=order).cause == "force"
    assert one(LennardJones(), squeezed, criteria=order[::-1]).cause == "fused atoms"
    assert [c.cause for c in default_criteria()] == ["non-finite", "temperature", "fused atoms", "force", "atoms lost"]
    assert NonFinite().reach([DIMER]) == 0.0


def test_the_frames_before_failure_are_kept():
    result = one(Given(towards_each_other(0.5)), DIMER, temperature=50, recent=4, record_every=5)
    steps = [s.step for s in result.recent]
    assert steps == list(range(steps[-1] - 3, steps[-1] + 1)) and result.failed.step == steps[-1] + 1
    assert result.time == result.failed.time and result.last.frame.energy is not None
    assert all(s.step <= steps[-1] for s in result.snapshots)


# --- many runs ------------------------------------------------------------------------------------------------------


class Brittle(Spring):
    """A spring that turns into a hole once it is compressed."""

    def pair_energy(self, r, first, second):
        phi, slope = super().pair_energy(r, first, second)
        hole = r < 1.6
        return torch.where(hole, phi - 50 * (1.6 - r) ** 2, phi), torch.where(hole, slope + 100 * (1.6 - r), slope)


def test_runs_are_censored_where_they_survive():
    settings = MDSettings(temperature=2000.0, length_fs=400.0, timestep_fs=2.0, friction_per_fs=0.02)
    result = stability(Brittle(), [PAIRED], settings, n_runs=8)
    summary = result.to_dict()
    assert summary["md_length_fs"] == 400.0 and summary["md_timestep_fs"] == 2.0
    assert (summary["md_temperature_k"], summary["md_friction_per_fs"]) == (2000.0, 0.02)
    assert json.loads(json.dumps(summary)) == summary
    for time, cause in zip(summary["time_to_failure_fs"], summary["failure_cause"], strict=True):
        assert (cause is None) == (time == 400.0) and time <= 400.0
    assert 0 < result.failed_share < 1 and len(set(result.times)) > 2
    assert sum(result.cause_shares.values()) == pytest.approx(result.failed_share)
    assert result.survival.at(400.0) == pytest.approx(1 - result.failed_share)


def test_what_is_written_ends_before_the_failure(tmp_path):
    broken = Given(after(1e-3, float("nan")))
    failed = one(broken, DIMER, temperature=50, record_every=1000)
    written = failed.to_write()
    assert [f.info["time_fs"] for f in written] == [0.0, failed.last.time]
    at_once = one(Given(lambda graph: torch.full_like(graph.positions, float("nan"))), DIMER)
    assert at_once.time == 0.0 and at_once.to_write()[0].forces is None
    assert keel.write(tmp_path / "written.extxyz", written + at_once.to_write()) == 3


def test_runs_cycle_through_the_structures():
    settings = MDSettings(temperature=10.0, length_fs=2.0)
    result = stability(LennardJones(), [DIMER, PAIRED], settings, n_runs=3, criteria=())
    assert [len(t.last.frame) for t in result.trajectories] == [2, 4, 2]
    assert np.abs(result.trajectories[0].last.velocities - result.trajectories[2].last.velocities).max() > 0
    assert len(stability(LennardJones(), [DIMER, PAIRED], settings, criteria=()).times) == 2


def test_length_is_a_whole_number_of_steps():
    settings = MDSettings(temperature=1, length_fs=1.0)
    lengths = {t: stability(LennardJones(), [DIMER], settings.replace(timestep_fs=t)).length_fs for t in (0.1, 0.3)}
    assert lengths[0.1] == pytest.approx(1.0) and lengths[0.3] == pytest.approx(1.2)
    with pytest.raises(ConfigError, match="must be positive"):
        stability(LennardJones(), [DIMER], settings.replace(length_fs=0.0))


def test_the_rung_is_the_lowest_at_which_half_fail():
    settings = MDSettings(temperature=300.0, length_fs=300.0, timestep_fs=2.0)
    rung = find_rung(Brittle(), [PAIRED], settings, ladder=(3000.0, 100.0, 1000.0), n_runs=6)
    assert rung.temperature == 3000.0
    assert [t for t, _ in rung.tried] == [100.0, 1000.0, 3000.0][: len(rung.tried)]
    assert all(results[0].failed_share < 0.5 for _, results in rung.tried[:-1])
    assert rung.tried[-1][1][0].failed_share >= 0.5 and rung.length_fs(5.0) == 5.0 * rung.median
    none = find_rung([Spring(), Spring()], [PAIRED], settings, ladder=(10.0,), n_runs=6)
    assert none.temperature is None and none.median is None and none.length_fs() is None
    assert len(none.tried[0][1]) == 2
    with pytest.raises(ConfigError, match="at least one temperature"):
        find_rung(Spring(), [PAIRED], settings, ladder=(), n_runs=6)


def test_command(tmp_path):
    keel.write(tmp_path / "starts.extxyz", [argon(1), argon(1, seed=1)])
    LennardJones().save(tmp_path / "lj.json")
    arguments = ["md", str(tmp_path / "lj.json"), str(tmp_path / "starts.extxyz"), "-T", "30", "--length-fs", "20"]
    shown = CliRunner().invoke(app, [*arguments, "--runs", "3", "--out", str(tmp_path / "out.extxyz")])
    assert shown.exit_code == 0 and "0 % failed" in shown.output and "> 20 fs" in shown.output
    frames = keel.read(tmp_path / "out.extxyz")
    assert len(frames) == 9 and frames[-1].info["time_fs"] == 20 and frames[-1].info["run"] == 2
    assert frames[-1].energy is not None and [f.info["time_fs"] for f in frames[::3]] == [0.0, 10.0, 20.0]
    record = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)
    assert record["time_to_failure_fs"] == [20.0, 20.0] and record["failure_cause"] == [None, None]


def test_command_under_pressure(tmp_path):
    keel.write(tmp_path / "start.extxyz", [argon(1)])
    LennardJones(cutoff=6.0).save(tmp_path / "lj.json")
    arguments = ["md", str(tmp_path / "lj.json"), str(tmp_path / "start.extxyz"), "-T", "30", "--length-fs", "100"]
    written = []
    for options in (["--pressure", "0"], ["--pressure", "0", "--to-pressure", "50"]):
        out = tmp_path / f"out{len(options)}.extxyz"
        done = CliRunner().invoke(app, [*arguments, *options, "--out", str(out)])
        assert done.exit_code == 0, done.output
        written.append(np.linalg.det(keel.read(out)[-1].cell))
    assert written[1] < 0.97 * written[0]
    for wrong, message in ((["--nve", "--pressure", "0"], "exclude each other"), (["--to-pressure", "1"], "needs")):
        assert message in str(CliRunner().invoke(app, [*arguments, *wrong]).exception)

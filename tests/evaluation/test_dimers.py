"""Dimer curves of Lennard-Jones, where all is known, and each metric on a curve that shows what it measures."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import keel
from keel.cli import app
from keel.errors import ConfigError, DataError
from keel.evaluation import (
    DimerCurve,
    dimer_curve,
    dimers,
    leaderboard_curve,
    leaderboard_metrics,
    write_curves,
)
from keel.evaluation.clusters import dimer_metrics as metric
from keel.evaluation.clusters.dimers import DISTANCES
from keel.potentials import ZBL, LennardJones, SumPotential
from simulated import Spring

EPSILON, SIGMA = 0.0104, 3.4
LJ = LennardJones(EPSILON, SIGMA, cutoff=8.0)


def test_lennard_jones():
    curve = dimer_curve(LJ, "Ar", "Ar")
    near = curve.r < 0.6 * 8.0
    x6 = (SIGMA / curve.r[near]) ** 6
    np.testing.assert_allclose(curve.energy[near], 4 * EPSILON * (x6**2 - x6), rtol=1e-12)
    np.testing.assert_allclose(curve.force[near], 24 * EPSILON * (2 * x6**2 - x6) / curve.r[near], rtol=1e-12)
    assert curve.energy[-1] == 0.0 and curve.force[-1] == 0.0 and (curve.r[0], curve.r[-1]) == (0.1, 8.0)
    assert curve.r[curve.energy.argmin()] == pytest.approx(2 ** (1 / 6) * SIGMA, abs=0.005)
    metrics = curve.metrics()
    assert metrics["tortuosity"] == pytest.approx(1.0) and metrics["energy_jump_ev"] == pytest.approx(0.0, abs=1e-4)
    assert metrics["spearman_repulsion"] == pytest.approx(-1) and metrics["spearman_attraction"] == pytest.approx(1)
    assert metrics["repulsive_from_angstrom"] == 0.1
    # 4 eps x6^2 ~ 10 eV + the well: x6 = 1/2 + sqrt(1/4 + (10 - eps)/(4 eps)).
    x6 = 0.5 + np.sqrt(0.25 + (10.0 - EPSILON) / (4 * EPSILON))
    assert metrics["wall_position_angstrom"] == pytest.approx(SIGMA / x6 ** (1 / 6), abs=1e-3)


def test_deep_well_flips_once():
    curve = dimer_curve(LennardJones(epsilon=1.0, sigma=2.0, cutoff=8.0), 18, 18)
    metrics, window = curve.metrics(), curve.window_metrics()
    assert (metrics["energy_flips"], metrics["force_flips"]) == (1, 1)
    assert (window["energy_flips"], window["force_flips"], window["tortuosity"]) == (1, 1, pytest.approx(1.0))
    assert window["force_total_variation_ev_per_angstrom"] < 1e-6 * metrics["force_total_variation_ev_per_angstrom"]


@pytest.mark.parametrize("potential", [LJ, ZBL(), SumPotential([LJ, ZBL()]), Spring(), keel.CGCNN([8, 14], cutoff=5.0)])
def test_every_kind_of_potential_has_the_curves_of_separate_structures(potential):
    """One batch of dimers equals two atoms in a file, one by one; E(8) = 0."""
    torch.manual_seed(0)
    potential = potential.double()
    r = np.array([0.3, 1.1, 2.0, 4.9, 8.0])
    curve = dimer_curve(potential, 14, 8, r)
    assert curve.name == "O-Si"
    frames = [keel.Frame(np.array([8, 14]), np.array([[0, 0, 0], [x, 0, 0]])) for x in r]
    single = [potential(keel.batch(f, potential.cutoff, dtype=torch.float64)) for f in frames]
    energies = np.array([float(p.energy[0]) for p in single])
    np.testing.assert_allclose(curve.energy, energies - energies[-1], atol=1e-10)
    np.testing.assert_allclose(curve.force, [float(p.forces[1, 0]) for p in single], atol=1e-10)


def test_all_pairs_of_the_elements():
    network = keel.CGCNN(elements=[8, 14], cutoff=5.0)
    assert list(dimers(network, distances=[1.0, 8.0])) == ["O-O", "O-Si", "Si-Si"]
    assert list(dimers(LJ, ["Ar", 2], distances=[1.0, 8.0])) == ["He-He", "He-Ar", "Ar-Ar"]
    assert network.dtype == torch.float32
    with pytest.raises(DataError, match="name the elements"):
        dimers(LJ)
    with pytest.raises(DataError, match="knows O, Si"):
        dimers(network, ["Cu"])
    for wrong in ([2.0, 1.0], [0.0, 1.0], [1.0]):
        with pytest.raises(ConfigError, match="positive and ascending"):
            dimer_curve(LJ, 18, 18, wrong)


def test_forces_are_the_slope():
    torch.manual_seed(1)
    curve = dimer_curve(keel.CGCNN(elements=[8, 14], cutoff=5.0).double(), 8, 14, np.arange(0.5, 6.0, 1e-3))
    assert curve.metrics()["conservation_deviation_ev_per_angstrom"] < 1e-4 * np.abs(curve.force).max() + 1e-8
    wrong = DimerCurve(curve.numbers, curve.r, curve.energy, curve.force + 0.3)
    assert wrong.metrics()["conservation_deviation_ev_per_angstrom"] == pytest.approx(0.3, rel=0.01)


def test_metrics_by_hand():
    energy = np.array([5.0, 1.0, 2.0, -1.0, 0.0])
    # sum |dE| = 4 + 1 + 3 + 1; chord = (5 + 1) + (0 + 1); changes of direction at 1, 2, 3.
    assert metric.tortuosity(energy) == pytest.approx(9 / 7)
    assert metric.energy_flips(energy) == 3
    assert metric.energy_jump(energy) == pytest.approx((4 + 1) + (1 + 3) + (3 + 1))
    force = np.array([3.0, -1.0, 0.005, -2.0, 4.0, 0.0])
    assert metric.force_flips(force) == 2
    assert metric.force_total_variation(force) == pytest.approx(4 + 1.005 + 2.005 + 6 + 4)
    assert metric.force_jump(force) == pytest.approx((4 + 1.005) + (1.005 + 2.005) + (2.005 + 6) + (6 + 4))


def test_small_steps_are_no_flips():
    ripple = np.linspace(1.0, 0.0, 50) + 4e-4 * (-1.0) ** np.arange(50) * (np.arange(50) > 45)
    assert metric.energy_flips(np.array([1.0, 0.0, 5e-4, 0.0, 5e-4])) == 0
    assert metric.energy_jump(ripple) == 0.0


def test_a_hole_below_the_wall_is_found():
    r = np.linspace(0.5, 4.0, 351)
    sound = 20 * np.exp(-2 * r)
    hole = sound - 30 * np.exp(-(((r - 0.7) / 0.1) ** 2))
    forces = [-np.gradient(e, r) for e in (sound, hole)]
    assert metric.repulsive_from(r, forces[0]) == 0.5
    assert 0.7 < metric.repulsive_from(r, forces[1]) < 1.0
    assert metric.tortuosity(sound) == pytest.approx(1.0) and metric.tortuosity(hole) > 1.1
    assert np.isnan(metric.repulsive_from(r, 0.01 * forces[0]))


def test_an_open_wall_has_no_position():
    r = np.linspace(0.1, 8.0, 80)
    assert np.isnan(metric.wall_position(r, r)) and np.isnan(metric.spearman_repulsion(r, r))
    assert np.isnan(metric.wall_position(r, 5.0 - r / 2)) and np.isnan(metric.tortuosity(np.zeros(5)))
    assert metric.wall_position(np.array([1.0, 2.0, 3.0]), np.array([20.0, 0.0, 0.0])) == pytest.approx(1.5)


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=40))
def test_metrics_have_their_bounds_and_do_not_depend_on_direction(values):
    energy = np.array(values)
    tortuosity = metric.tortuosity(energy)
    assert np.isnan(tortuosity) or tortuosity >= 1 - 1e-9
    for function in (metric.energy_flips, metric.energy_jump, metric.force_flips, metric.force_jump):
        assert function(energy) >= 0 and function(energy) == pytest.approx(function(energy[::-1]), abs=1e-9)
    assert metric.energy_flips(np.sort(energy)) == 0 == metric.energy_jump(np.sort(energy))


def test_leaderboard_window():
    assert metric.leaderboard_window(14, 14) == pytest.approx((0.9 * 1.11, 3.1 * 2.19))
    assert metric.leaderboard_window(14, 14, r_max=5.0)[1] == 5.0
    assert metric.leaderboard_window(8, 14)[0] == pytest.approx(0.9 * (1.11 + 0.66) / 2)
    assert len(DISTANCES) == 791 and DISTANCES[1] - DISTANCES[0] == pytest.approx(0.01)


def test_curves_that_are_not_finite_have_no_metrics():
    curve = DimerCurve((8, 8), np.arange(1.0, 4.0), np.array([np.inf, 1.0, 0.0]), np.zeros(3))
    assert all(np.isnan(v) for v in curve.metrics().values())


def test_written_curves_come_back(tmp_path):
    curves = dimers(LJ, ["Ar"], distances=[3.0, 4.0, 8.0])
    write_curves(curves, tmp_path / "curves.csv")
    lines = (tmp_path / "curves.csv").read_text().splitlines()
    assert lines[0] == "pair,r_angstrom,energy_ev,force_ev_per_angstrom" and len(lines) == 4
    assert [float(line.split(",")[2]) for line in lines[1:]] == pytest.approx(curves["Ar-Ar"].energy.tolist())


def test_command(tmp_path):
    path = tmp_path / "lj.json"
    LJ.save(path)
    shown = CliRunner().invoke(app, ["dimers", str(path), "--elements", "Ar, He", "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0 and "He-Ar" in shown.output
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"dimers.csv", "dimers.png", "dimers.svg"}
    answer = json.loads(CliRunner().invoke(app, ["dimers", str(path), "--elements", "Ar", "--json"]).output)
    assert answer["Ar-Ar"]["full"]["tortuosity"] == pytest.approx(1.0)
    assert answer["Ar-Ar"]["full"]["spearman_repulsion"] is not None


def test_command_gives_the_numbers_of_leaderboards_for_like_pairs(tmp_path):
    LJ.save(tmp_path / "lj.json")
    run = CliRunner().invoke(app, ["dimers", str(tmp_path / "lj.json"), "--elements", "Ar,He", "--json"])
    answer = json.loads(run.output)
    assert set(answer["He-Ar"]) == {"full", "window", "judged"}
    for name in ("mlip-arena", "matbench-discovery"):
        expected = leaderboard_metrics(leaderboard_curve(LJ.double(), "Ar", "Ar", name), name)
        assert answer["Ar-Ar"][name] == {k: v if np.isfinite(v) else None for k, v in expected.items()}
        assert len(expected) > 5

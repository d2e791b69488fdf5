"""Walls and wells of dimers, where they are known, and beside those of labelled ones."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import keel
from keel.cli import app
from keel.evaluation import DimerCurve, dimer_curve
from keel.evaluation.clusters.landmarks import HEIGHT, Landmarks, marked
from keel.potentials import ZBL, LennardJones
from simulated import molecule

EPSILON, SIGMA = 0.5, 2.0
LJ = LennardJones(EPSILON, SIGMA, cutoff=8.0)
WELL = 2 ** (1 / 6) * SIGMA
# 4 eps (x^2 - x) = 10 eV with x = (sigma / r)^6.
WALL = SIGMA / (0.5 + np.sqrt(0.25 + HEIGHT / (4 * EPSILON))) ** (1 / 6)


def curve(r, energy) -> DimerCurve:
    r, energy = np.asarray(r, float), np.asarray(energy, float)
    return DimerCurve((8, 8), r, energy, -np.gradient(energy, r))


def test_lennard_jones():
    found = Landmarks.of(dimer_curve(LJ, "Ar", "Ar"))
    assert found.wall == pytest.approx(WALL, abs=1e-3)
    assert found.well == pytest.approx(WELL, abs=0.006) and found.depth == pytest.approx(EPSILON, rel=1e-3)


def test_a_coarse_reference_is_as_good():
    """Distances 5 % apart, as DFT has them: its forces tell what lies between."""
    reference = dimer_curve(LJ, "Ar", "Ar", np.geomspace(1.2, 6.0, 34))
    found = marked(LJ, reference)
    assert found.reference.wall == pytest.approx(found.potential.wall, abs=3e-3)
    assert found.difference.well == pytest.approx(0.0, abs=0.01)
    # Both count from 6 angstrom, where this potential has not quite vanished.
    assert found.difference.depth == pytest.approx(0.0, abs=2e-3)


def test_by_hand():
    found = Landmarks.of(curve([1.0, 2.0, 3.0, 4.0, 5.0], [30.0, 20.0, 0.0, -2.0, 0.0]))
    assert (found.wall, found.well, found.depth) == (pytest.approx(2.5), 4.0, 2.0)
    # A hole behind the wall is none of its wells; atoms do not come there.
    assert Landmarks.of(curve([1.0, 2.0, 3.0, 4.0, 5.0], [-90.0, 20.0, 0.0, -2.0, 0.0])) == found
    open_wall = Landmarks.of(curve([1.0, 2.0, 3.0, 4.0], [-90.0, 9.0, -2.0, 0.0]))
    assert np.isnan(open_wall.wall) and (open_wall.well, open_wall.depth) == (1.0, 90.0)
    repulsive = Landmarks.of(curve([1.0, 2.0, 3.0], [20.0, 1.0, 0.0]))
    assert repulsive.wall == pytest.approx(1 + 10 / 19) and np.isnan(repulsive.well) and repulsive.depth == 0
    broken = Landmarks.of(curve([1.0, 2.0, 3.0], [np.inf, 1.0, 0.0]))
    assert all(np.isnan(value) for value in vars(broken).values())


@given(st.lists(st.floats(-50, 50), min_size=3, max_size=30))
def test_the_wall_is_where_the_curve_is_ten_above(values):
    found = Landmarks.of(curve(np.arange(len(values)) + 1.0, values))
    r, energy = np.arange(len(values)) + 1.0, np.array(values) - values[-1]
    assert found.depth >= 0
    if np.isnan(found.wall):
        assert energy.max() < HEIGHT
        return
    assert np.interp(found.wall, r, energy) == pytest.approx(HEIGHT)
    assert (energy[r > found.wall] < HEIGHT).all() and not found.well <= found.wall


@pytest.fixture
def files(tmp_path):
    """The dimers of a potential whose wall is nearer than that of another, and one of an element that is not drawn."""
    near = LennardJones(EPSILON, 0.9 * SIGMA, cutoff=8.0)
    frames = []
    for numbers in ((18, 18), (2, 2)):
        reference = dimer_curve(near, *numbers, np.geomspace(1.0, 6.0, 40))
        for r, energy, force in zip(reference.r, reference.energy, reference.force, strict=True):
            forces = np.array([[-force, 0, 0], [force, 0, 0]])
            frame = molecule([[0, 0, 0], [r, 0, 0]], list(numbers))
            frames.append(frame.replace(energy=float(energy), forces=forces))
    keel.write(tmp_path / "dimers.extxyz", frames)
    LJ.save(str(tmp_path / "lj.json"))
    return [str(tmp_path / "lj.json"), "--reference", str(tmp_path / "dimers.extxyz")]


def test_command(files, tmp_path):
    options = ["dimers", *files, "--elements", "Ar"]
    reference = json.loads(CliRunner().invoke(app, [*options, "--json"]).output)["Ar-Ar"]["reference"]
    for name, truth in (("wall_angstrom", WALL), ("well_angstrom", WELL)):
        found = reference[name]
        assert found["potential"] == pytest.approx(truth, abs=0.01)
        assert found["reference"] == pytest.approx(0.9 * truth, abs=0.01)
        assert found["difference"] == pytest.approx(0.1 * truth, abs=0.02)
    assert reference["well_depth_ev"]["difference"] == pytest.approx(0.0, abs=0.01)
    assert reference["rms_difference_ev"] > 0
    shown = CliRunner().invoke(app, [*options, "--out", str(tmp_path / "out")], env={"COLUMNS": "120"}).output
    assert f"{reference['wall_angstrom']['difference']:+.3f}" in shown and "because they are not drawn: He-He" in shown
    assert (tmp_path / "out" / "dimers.png").stat().st_size > 0


def test_a_wall_that_a_reference_does_not_reach(files, tmp_path):
    frames = [f for f in keel.read(files[2]) if f.numbers[0] == 18 and f.positions[1, 0] > 1.8]
    keel.write(tmp_path / "outer.extxyz", frames)
    ZBL(elements=["Ar"]).save(str(tmp_path / "zbl.json"))
    arguments = ["dimers", str(tmp_path / "zbl.json"), "--reference", str(tmp_path / "outer.extxyz")]
    shown = CliRunner().invoke(app, arguments, env={"COLUMNS": "120"}).output
    assert f"<{frames[0].positions[1, 0]:.3g}" in shown and "none" in shown
    answer = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)["Ar-Ar"]["reference"]
    assert answer["wall_angstrom"]["reference"] is None is answer["well_angstrom"]["potential"]

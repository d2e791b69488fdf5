"""Walls and wells of dimers, where they are known, and beside those of labelled ones."""

import json
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import keel
from keel.cli import app
from keel.evaluation import DimerCurve, dimer_curve
from keel.evaluation.clusters.landmarks import HEIGHT, Landmarks, Marked, marked
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


NAN = float("nan")
BONDED = Landmarks(1.3, 1.9, 3.0)


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (BONDED, BONDED, []),
        (Landmarks(1.49, 2.4, 3.9), BONDED, []),
        (Landmarks(1.55, 1.9, 3.0), BONDED, ["the wall is 0.25 angstrom farther out than that of the reference"]),
        (Landmarks(1.05, 1.9, 3.0), BONDED, ["the wall is 0.25 angstrom farther in than that of the reference"]),
        (Landmarks(1.3, 1.9, 13.2), BONDED, ["the well is 10.2 eV deeper than that of the reference"]),
        (Landmarks(1.6, 1.9, 5.0), BONDED, ["the wall is 0.30 angstrom", "the well is 2 eV deeper"]),
        (Landmarks(NAN, 1.9, 3.0), BONDED, ["there is no wall, but the reference has one at 1.3 angstrom"]),
        # It binds less strongly, and none of its atoms fuse.
        (Landmarks(1.3, NAN, 0.0), BONDED, []),
        # Nobody knows how far inwards the wall of the reference is, nor how deep its well, but from 1 angstrom on.
        (Landmarks(1.15, 1.9, 3.0), Landmarks(NAN, 1.9, 3.0), []),
        (Landmarks(NAN, 0.5, 90.0), Landmarks(NAN, 1.9, 3.0), []),
        (Landmarks(1.25, 1.9, 3.0), Landmarks(NAN, 1.9, 3.0), ["the wall is at least 0.25 angstrom farther out"]),
        (Landmarks(NAN, NAN, NAN), BONDED, []),
    ],
)
def test_what_a_reference_refutes(ours, theirs, said):
    found = Marked(ours, theirs, begins=1.0).beyond_limits
    assert len(found) == len(said) and all(clause.startswith(words) for clause, words in zip(found, said, strict=True))


def test_where_the_bottom_of_a_shallow_well_is_means_nothing():
    shallow = Landmarks(1.3, 5.02, 0.004)
    assert np.isnan(Marked(shallow, BONDED, 1.0).difference.well)
    assert np.isnan(Marked(BONDED, shallow, 1.0).difference.well)
    assert Marked(Landmarks(1.3, 2.0, 0.2), BONDED, 1.0).difference.well == pytest.approx(0.1)


def written(path, share):
    """Labels of two atoms by a potential whose wall is nearer, and of an element that is not drawn; the options."""
    near = LennardJones(EPSILON, share * SIGMA, cutoff=8.0)
    frames = []
    for numbers in ((18, 18), (2, 2)):
        reference = dimer_curve(near, *numbers, np.geomspace(1.0, 6.0, 40))
        for r, energy, force in zip(reference.r, reference.energy, reference.force, strict=True):
            forces = np.array([[-force, 0, 0], [force, 0, 0]])
            frame = molecule([[0, 0, 0], [r, 0, 0]], list(numbers))
            frames.append(frame.replace(energy=float(energy), forces=forces))
    keel.write(path / "dimers.extxyz", frames)
    LJ.save(str(path / "lj.json"))
    return [str(path / "lj.json"), "--reference", str(path / "dimers.extxyz")]


@pytest.fixture
def files(tmp_path):
    return written(tmp_path, 0.9)


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
    assert "1 of 1 pairs passed, none failed" in shown and "wells at most 1 eV deeper): Ar-Ar." in shown
    assert CliRunner().invoke(app, [*options, "--strict"]).exit_code == 0 and reference["beyond_limits"] == []
    assert (tmp_path / "out" / "dimers.png").stat().st_size > 0


def test_a_sound_curve_that_the_reference_refutes_has_not_passed(tmp_path):
    options = ["dimers", *written(tmp_path, 0.8), "--elements", "Ar"]
    done = CliRunner().invoke(app, [*options, "--strict"], env={"COLUMNS": "120"})
    assert done.exit_code == 1 and "0 of 1 pairs passed, 1 failed." in done.output
    clause = "the wall is 0.34 {} farther out than that of the reference (at most 0.2)"
    assert f"Ar-Ar: {clause.format('Å')}\n" in done.output and "may fuse" not in done.output
    answer = json.loads(CliRunner().invoke(app, [*options, "--json"]).output)["Ar-Ar"]
    assert answer["judged"]["outcome"] == "passed"
    assert answer["reference"]["beyond_limits"] == [clause.format("angstrom")]


def test_a_network_is_converted_once(files, tmp_path, monkeypatch):
    keel.CGCNN(elements=[18], features=8, convolutions=1).save(str(tmp_path / "new.safetensors"))
    copies = []
    monkeypatch.setattr("keel.potentials.convert.deepcopy", lambda potential: copies.append(1) or deepcopy(potential))
    arguments = ["dimers", str(tmp_path / "new.safetensors"), *files[1:], "--json"]
    assert CliRunner().invoke(app, arguments).exit_code == 0 and len(copies) == 1


def test_a_wall_that_a_reference_does_not_reach(files, tmp_path):
    frames = [f for f in keel.read(files[2]) if f.numbers[0] == 18 and f.positions[1, 0] > 1.8]
    keel.write(tmp_path / "outer.extxyz", frames)
    ZBL(elements=["Ar"]).save(str(tmp_path / "zbl.json"))
    arguments = ["dimers", str(tmp_path / "zbl.json"), "--reference", str(tmp_path / "outer.extxyz")]
    shown = CliRunner().invoke(app, arguments, env={"COLUMNS": "120"}).output
    assert f"<{frames[0].positions[1, 0]:.3g}" in shown and "none" in shown
    answer = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)["Ar-Ar"]["reference"]
    assert answer["wall_angstrom"]["reference"] is None is answer["well_angstrom"]["potential"]

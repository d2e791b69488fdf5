"""Dimer curves from labelled frames: those of the potential that labelled them, whatever cell and order."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import keel
from keel.atoms.frame import Frame
from keel.cli import app
from keel.errors import DataError
from keel.evaluation import diatomics, dimer_curve, dimer_curves_of
from keel.evaluation.equilibrium.relaxation import evaluated

TEACHER = keel.EAM.from_elements(["O", "Si"], cutoff=5.0)
DISTANCES = np.linspace(1.0, 5.0, 41)


def dimer(r: float, numbers=(14, 8), direction=(1.0, 0.0, 0.0), box: float | None = None) -> Frame:
    direction = np.array(direction) / np.linalg.norm(direction)
    cell = np.zeros((3, 3)) if box is None else box * np.eye(3)
    positions = np.array([[0.2, 0.1, -0.3], r * direction + [0.2, 0.1, -0.3]])
    return Frame(np.array(numbers), positions, cell, np.full(3, box is not None), source=f"dimer of {r:g}")


def labelled(distances=DISTANCES, **where) -> list[Frame]:
    return [evaluated(TEACHER, dimer(r, **where)) for r in distances]


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.booleans(), st.permutations([8, 14]))
def test_the_curve_is_that_of_the_labels(seed, periodic, numbers):
    """In any order and direction, and with atoms in any periodic image."""
    rng = np.random.default_rng(seed)
    direction, box = rng.normal(size=3), 12.6 if periodic else None
    frames = labelled(numbers=tuple(numbers), direction=direction, box=box)
    if periodic:
        frames = [f.replace(positions=f.positions + box * rng.integers(-2, 3, (2, 3))) for f in frames]
    found = dimer_curves_of([frames[k] for k in rng.permutation(len(frames))])
    expected = dimer_curve(TEACHER.double(), "O", "Si", DISTANCES)
    curve = found.pop("O-Si")
    assert not found and curve.numbers == (8, 14)
    np.testing.assert_allclose(curve.r, expected.r, atol=1e-9)
    np.testing.assert_allclose(curve.energy, expected.energy, atol=1e-8)
    np.testing.assert_allclose(curve.force, expected.force, atol=1e-7)


def test_without_forces_they_are_slopes():
    frames = [f.replace(forces=None) if k == 7 else f for k, f in enumerate(labelled(np.linspace(1.2, 5.0, 200)))]
    curve = dimer_curves_of(frames)["O-Si"]
    expected = dimer_curve(TEACHER.double(), "O", "Si", curve.r)
    inner = slice(3, -3)
    np.testing.assert_allclose(curve.force[inner], expected.force[inner], atol=1e-3 * np.abs(expected.force).max())


def test_pairs_are_told_apart():
    found = dimer_curves_of([f for z in ((14, 8), (8, 8), (14, 14)) for f in labelled(numbers=z)])
    assert list(found) == ["O-O", "O-Si", "Si-Si"]


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        ([], "there is no frame of two atoms"),
        ([Frame(np.array([8]), np.zeros((1, 3)), source="a.xyz, frame 3")], "a.xyz, frame 3: a dimer has two atoms"),
        ([dimer(1.5)], "dimer of 1.5: this dimer has no energy"),
        (labelled([1.0, 1.5, 2.0]), "only 3 distances of O-Si; a curve needs 5"),
        (labelled([1.0, 1.5, 1.5, 2.0, 3.0]), "dimer of 1.5: this dimer O-Si is as long, 1.5 angstrom, as that of"),
        (labelled([1.0], box=5.0), "dimer of 1: the next image is 4 angstrom away"),
        (labelled([5.5], box=12.0), "the next image is 6.5 angstrom away, too near for a dimer of 5.5"),
        ([dimer(0.0).replace(energy=1.0)], "at the same place"),
    ],
)
def test_what_is_no_dimer_is_named(frames, sentence):
    with pytest.raises(DataError, match=sentence):
        dimer_curves_of(frames)


def test_curves_of_both_kinds_stand_beside():
    """A potential is nowhere off its own labels, and MLIP Arena's spline is not continued beyond its data."""
    frames = [*labelled(), *labelled(numbers=(8, 8))]
    result = diatomics(TEACHER, beside=keel.ZBL(elements=["O", "Si"]), dft=dimer_curves_of(frames))
    drawn = {curve.name for curve in result.curves}
    assert {"reference O-Si", "reference Si-Si", "DFT O-Si", "DFT O-O"} <= drawn and "DFT Si-Si" not in drawn
    assert result["RMS difference from DFT, O-Si"] < 1e-6 < result["RMS difference from the reference, O-Si"]
    assert result["matbench-discovery: pbe_bond_length_error"] < 0.05
    assert "mlip-arena: pbe-energy-mae" not in {metric.name for metric in result.metrics}


@pytest.fixture
def files(tmp_path):
    TEACHER.save(str(tmp_path / "eam.json"))
    keel.write(tmp_path / "dimers.extxyz", labelled())
    keel.write(tmp_path / "crystal.extxyz", labelled([1.6], box=12.0))
    return tmp_path


def test_both_commands_take_them(files):
    shown = CliRunner().invoke(app, [
        "dimers", str(files / "eam.json"), "--dimer-reference", str(files / "dimers.extxyz"), "--json",
        "--out", str(files),
    ])  # fmt: skip
    answer = json.loads(shown.output)
    assert answer["O-Si"]["reference"]["rms_difference_ev"] < 1e-6 and "reference" not in answer["O-O"]
    assert (files / "dimers.png").stat().st_size > 0
    done = CliRunner().invoke(app, [
        "assess", str(files / "eam.json"), "--data", str(files / "crystal.extxyz"), "--probes", "clusters",
        "--dimer-reference", str(files / "dimers.extxyz"), "--out", str(files / "out"),
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    (found,) = json.loads((files / "out" / "assessment.json").read_text())["assessments"]
    assert "DFT O-Si" in {curve["name"] for curve in found["results"][0]["curves"]}


def test_other_elements_are_named(files):
    arguments = ["dimers", str(files / "eam.json"), "--elements", "O", "--reference", str(files / "dimers.extxyz")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code != 0 and "dimers of O-Si, none of which" in done.output + str(done.exception)

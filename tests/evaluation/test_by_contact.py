"""Errors by contact: by hand, each value in one bin whatever the order; the judge, the command, what is left out."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import keel
from broken import Broken
from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Frame
from keel.atoms.units import GPA
from keel.cli import app
from keel.errors import DataError
from keel.evaluation.labels.against_labels import contact_errors, errors
from keel.evaluation.labels.by_contact import EDGES, bin_name, errors_by_contact, known_frames
from keel.potentials import LennardJones
from keel.potentials.accuracy import accuracy

BOND = 2 * COVALENT_RADII[14]
LJ = LennardJones(epsilon=0.3, sigma=2.0, cutoff=6.0)
STRONG = LennardJones(epsilon=0.9, sigma=2.0, cutoff=6.0)
"""Thrice as strong: its errors are twice the labels."""
NAMES = ["below 0.5", "0.5 to 0.6", "0.6 to 0.75", "0.75 to 0.9", "0.9 to 1.1", "from 1.1"]


def truth(frame: Frame, potential=LJ) -> Frame:
    found = potential(keel.batch(frame, potential.cutoff, dtype=torch.float64))
    stress = found.stress[0].numpy() if frame.pbc.all() else None
    return frame.replace(energy=float(found.energy[0]), forces=found.forces.numpy(), stress=stress)


def dimer(contact: float, numbers=(14, 14)) -> Frame:
    bond = COVALENT_RADII[list(numbers)].sum()
    return truth(Frame(np.array(numbers), np.array([[0, 0, 0], [contact * bond, 0, 0]])))


def cube(contact: float) -> Frame:
    """A silicon atom whose images are so many bonds away."""
    return truth(Frame(np.array([14]), np.zeros((1, 3)), contact * BOND * np.eye(3), np.ones(3, bool)))


def divided(frames, potential=LJ):
    return errors_by_contact(accuracy(potential, frames), frames)


def column(bins, name: str) -> list[float]:
    return [row[name] for row in bins.rows]


def random_frames(seed: int, n: int = 12) -> list[Frame]:
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(n):
        size = int(rng.integers(2, 6))
        cell = 4.5 * np.eye(3) if rng.random() < 0.5 else np.zeros((3, 3))
        pbc = np.full(3, bool(cell.any()))
        frame = truth(Frame(rng.choice([8, 14], size), 1.6 * rng.normal(size=(size, 3)), cell, pbc))
        forces = frame.forces + rng.normal(size=(size, 3))
        frames.append(frame.replace(forces=forces, energy=frame.energy + rng.normal()))
    return frames


def test_forces_by_hand():
    """Two dimers and a third that is farther apart; one component of six is wrong, by 0.6 and 1.2 eV/angstrom."""
    frames = [dimer(0.7), dimer(0.7), dimer(1.0)]
    for k, off in enumerate((0.6, 1.2, 0.0)):
        wrong = frames[k].forces.copy()
        wrong[0, 1] += off
        frames[k] = frames[k].replace(forces=wrong)
    forces = divided(frames).quantities["forces"]
    assert forces.names == NAMES
    assert column(forces, "values") == [0, 0, 4, 0, 2, 0] and column(forces, "frames") == [0, 0, 2, 0, 1, 0]
    assert forces.error[2] == pytest.approx(1000 * (0.6 + 1.2) / 12) and forces.error[4] == pytest.approx(0)
    label = np.mean([np.abs(f.forces).mean() for f in frames[:2]])
    assert forces.label[2] == pytest.approx(1000 * label) and forces.contact[2] == pytest.approx(0.7)
    # Of one formula, each frame counts: means of 100 and 200 meV/angstrom, t = 12.706 with one degree of freedom.
    assert forces.high[2] == pytest.approx(150 + 12.706 * 50, rel=1e-4) and forces.low[2] == 0
    assert np.isnan(forces.error[0]) and forces.high[4] == np.inf


def test_pressures_by_hand():
    frames = [cube(0.8), cube(0.85), cube(1.2)]
    off = [f.replace(stress=f.stress - d * GPA * np.eye(3)) for f, d in zip(frames, (1.0, -3.0, 0.5), strict=True)]
    pressure = divided(off).quantities["pressure"]
    assert column(pressure, "values") == [0, 0, 0, 2, 0, 1]
    assert pressure.error[3] == pytest.approx(2.0) and pressure.error[5] == pytest.approx(0.5)
    labels = [abs(np.trace(f.stress)) / 3 / GPA for f in off[:2]]
    assert pressure.label[3] == pytest.approx(np.mean(labels))
    assert "pressure" not in divided([f.replace(stress=None) for f in off]).quantities


def test_the_zero_of_energy_is_that_of_the_labels():
    """Constants of each element cancel, and one wild frame does not move the others."""
    numbers = [(14, 14)] * 5 + [(8, 14)] * 5 + [(8, 8)] * 5
    frames = [dimer(0.8 + 0.02 * k, pair) for k, pair in enumerate(numbers)]
    shift = {8: -430.0, 14: -110.0}
    moved = [f.replace(energy=f.energy + sum(shift[z] for z in f.numbers.tolist())) for f in frames]
    moved[7] = moved[7].replace(energy=moved[7].energy + 600.0)
    found = divided(moved)
    energy = found.quantities["energy"]
    assert found.offsets == pytest.approx({"O": -430.0, "Si": -110.0}, abs=1e-3)
    assert np.nansum(energy.error * energy.values) == pytest.approx(1000 * 300.0, rel=1e-3)
    # The label is what one energy for each element leaves of the energies: of these, the wild one and the well.
    spread = np.ptp([f.energy for f in frames]) / 2
    assert np.nansum(energy.label * energy.values) < 1000 * (300.0 + 15 * spread)


def test_too_few_frames_for_a_zero():
    found = divided([dimer(0.8, (8, 14)), dimer(0.8, (8, 8)), dimer(0.9), dimer(1.0)])
    assert "energy" not in found.quantities and "4 frames are too few to determine the energy zeros" in found.unjudged
    assert found.to_dict()["unjudged"] and "forces" in found.to_dict()["bins"]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_everything_is_in_one_bin_whatever_the_order(seed):
    frames = random_frames(seed)
    found = divided(frames)
    counts = {name: sum(column(bins, "values")) for name, bins in found.quantities.items()}
    periodic = sum(bool(f.pbc.all()) for f in frames)
    expected = {"forces": sum(map(len, frames)), "energy": len(frames), "pressure": periodic}
    assert counts == {name: n for name, n in expected.items() if n}
    total = accuracy(LJ, frames).forces.mae
    forces = found.quantities["forces"]
    assert np.nansum(forces.error * forces.values) == pytest.approx(1000 * total * counts["forces"])
    for bins in found.quantities.values():
        filled = bins.values > 0
        assert (bins.lower <= bins.contact)[filled].all()
        assert ((bins.contact < bins.upper) | np.isinf(bins.contact))[filled].all()
        assert ((bins.low <= bins.error) & (bins.error <= bins.high))[filled].all()
        assert ((bins.formulas <= bins.frames) & (bins.frames <= bins.values)).all()
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(f)) for f in frames]
    turned = [
        f.replace(numbers=f.numbers[o], positions=f.positions[o], forces=f.forces[o])
        for f, o in zip(frames, orders, strict=True)
    ]
    other = divided([turned[k] for k in rng.permutation(len(frames))])
    for name, bins in found.quantities.items():
        for key in ("values", "frames", "formulas", "error", "low", "high", "label", "contact"):
            again = getattr(other.quantities[name], key)
            np.testing.assert_allclose(again, getattr(bins, key), rtol=1e-4, atol=1e-2)


def test_frames_of_one_formula_count_as_one():
    """Copies of frames add no certainty where there are other formulas to tell."""
    frames = [f for f in random_frames(1, 30) if f.forces is not None]
    once, twice = divided(frames).quantities["forces"], divided([*frames, *frames]).quantities["forces"]
    np.testing.assert_allclose(twice.high, once.high)
    np.testing.assert_allclose(twice.values, 2 * once.values)
    alike = [dimer(0.7 + 0.001 * k) for k in range(9)]
    alike = [f.replace(forces=f.forces + 0.1 * k) for k, f in enumerate(alike)]
    once, twice = divided(alike).quantities["forces"], divided([*alike, *alike]).quantities["forces"]
    assert twice.high[2] - twice.error[2] < once.high[2] - once.error[2]


def test_unlabelled_atoms_and_atoms_alone_stay_out():
    partly = dimer(0.7).replace(forces_mask=np.array([True, False]))
    alone = Frame(np.array([14]), np.zeros((1, 3)), energy=-3.0, forces=np.zeros((1, 3)))
    frames = [alone, partly, dimer(1.0).replace(forces=None), dimer(0.7)]
    found = divided(frames)
    assert column(found.quantities["forces"], "values") == [0, 0, 3, 0, 0, 0]
    assert sum(column(found.quantities["energy"], "values")) == 3
    samples = {s.name: s for s in errors(LJ, frames).samples}
    assert samples["MAE of forces"].weights.tolist() == [1, 2] and len(samples["MAE of energy"].values) == 3


def test_frames_of_unknown_elements_are_left_out_and_counted():
    network = keel.EAM.from_elements(["Si"], cutoff=4.0)
    frames = [dimer(0.8), dimer(0.8, (8, 14)), dimer(0.8, (8, 8))]
    known, left_out = known_frames(network, frames)
    assert known == frames[:1] and (left_out.frames, left_out.elements) == (2, ("O",))
    assert left_out.sentence == "2 of 3 frames are left out: the potential does not know O."
    assert known_frames(LJ, frames)[1].to_dict() == {"left_out_frames": 0, "unknown_elements": []}
    with pytest.raises(DataError, match=r"2 in all, have elements .* does not know; give frames that contain only Si"):
        known_frames(network, [f.replace(source="a.xyz, frame 0") for f in frames[1:]])
    many = known_frames(network, [frames[0], Frame(np.arange(1, 31), 9.0 * np.eye(30)[:, :3])])[1]
    assert many.sentence.endswith("the potential does not know H, He, Li, Be, B, C, N, O, F, Ne and 19 more elements.")


def test_a_potential_is_judged_by_its_own_forces():
    rng, pair = np.random.default_rng(0), cube(0.85).repeated((2, 1, 1))
    frames = [truth(pair.replace(positions=pair.positions + 0.04 * rng.normal(size=(2, 3)))) for _ in range(6)]
    assert contact_errors(LJ, frames).outcome == "passed"
    failed = contact_errors(STRONG, frames)
    assert failed.outcome == "failed" and failed.verdict.startswith("forces are worse than predicting zero: ")
    assert contact_errors(STRONG, frames[:4]).outcome == "noted"
    curves = {curve.name: curve for curve in failed.curves}
    assert curves["forces"].y == pytest.approx(2.0) and (curves["forces"].low <= curves["forces"].y).all()
    quiet = [f.replace(forces=1e-3 * np.ones((2, 3))) for f in frames]
    assert contact_errors(LJ, quiet).outcome == "noted"
    bare = [f.replace(forces=None) for f in frames]
    assert contact_errors(LJ, bare).verdict == "no forces are labelled"
    assert contact_errors(LJ, [f.unlabelled() for f in frames]).outcome == "skipped"


def test_numbers_that_are_not_finite_fail():
    class NotFinite(Broken):
        def atomic_energies(self, graph, vectors):
            return float("nan") * super().atomic_energies(graph, vectors)

    frames = [dimer(0.7 + 0.01 * k) for k in range(8)]
    result = contact_errors(NotFinite(LJ), frames)
    assert result.outcome == "failed" and np.isnan(result.metrics[0].value)


def test_names_of_bins():
    ends = (0.0, *EDGES, np.inf)
    assert [bin_name(*pair) for pair in pairwise(ends)] == NAMES


@pytest.fixture
def command(tmp_path):
    """A potential of silicon, and frames of it and of what it does not know."""
    LJ.save(str(tmp_path / "lj.json"))
    network = keel.EAM.from_elements(["Si"], cutoff=4.0)
    network.save(str(tmp_path / "eam.json"))
    frames = [dimer(0.6 + 0.02 * k) for k in range(20)]
    frames = [f.replace(forces=f.forces + 0.01) for f in frames]
    keel.write(tmp_path / "test.extxyz", [*frames, *(dimer(0.8, (8, 14)) for _ in range(3))])

    def run(potential: str, *options: str):
        files = [str(tmp_path / potential), str(tmp_path / "test.extxyz")]
        return CliRunner().invoke(app, ["evaluate", *files, *options], env={"COLUMNS": "100"})

    return run


def test_command_shows_and_writes_everything(command):
    shown = command("lj.json", "--by", "contact").output
    for words in ("forces (meV/Å)", "0.6 to 0.75", "energy (meV/atom)", "MAE/label", "sums of the covalent radii"):
        assert words in shown
    answer = json.loads(command("lj.json", "--by", "contact", "--json").output)
    forces = answer["by_contact"]["bins"]["forces"]
    assert [row["lower"] for row in forces] == [0, *EDGES] and forces[-1]["upper"] is None
    assert sum(row["values"] for row in forces) == 46 and forces[2]["error"] == pytest.approx(10.0)
    assert forces[0]["error"] is None and answer["by_contact"]["left_out_frames"] == 0
    assert answer["frames"] == 23 and set(answer["by_contact"]["energy_offsets_ev"]) == {"O", "Si"}
    assert "by_contact" not in json.loads(command("lj.json", "--json").output)


def test_command_says_what_it_leaves_out(command):
    shown = " ".join(command("eam.json", "--by", "contact").output.split())
    assert "3 of 23 frames are left out: the potential does not know O." in shown
    answer = json.loads(command("eam.json", "--by", "contact", "--json").output)
    assert (answer["frames"], answer["by_contact"]["unknown_elements"]) == (20, ["O"])
    assert command("eam.json", "--by", "element").exit_code != 0

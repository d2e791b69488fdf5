"""The judges find wrong signs, sizes and orders where no neighbouring frames tell, and say where they cannot judge."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from keel.atoms.frame import Frame
from keel.atoms.labelling.labelled import frame_from_ase
from keel.atoms.units import BOHR, GPA, HARTREE
from keel.fitting.judge import Judgement, judge
from keel.fitting.quick import QuickEAM

Change = Callable[[Frame, int], Frame]


def crystals(frames: int, seed: int = 0) -> list[Frame]:
    """Single frames of strained and displaced copper of several sizes, none near another."""
    rng, members = np.random.default_rng(seed), []
    for k in range(frames):
        strain = rng.normal(scale=0.02, size=(3, 3))
        atoms = bulk("Cu", cubic=True) * [(1, 1, 2), (1, 2, 2), (2, 2, 2)][k % 3]
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain + strain.T), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.18, size=(len(atoms), 3))
        atoms.calc = EMT()
        atoms.get_stress()
        members.append(frame_from_ase(atoms, f"set.extxyz, frame {k}"))
    return members


@pytest.fixture(scope="module")
def sound() -> list[Frame]:
    return crystals(45)


def messages(found: Judgement) -> str:
    return " | ".join(f.message for f in found.findings)


def reordered(stress: np.ndarray) -> np.ndarray:
    result = np.diag(np.diag(stress))
    for (i, j), value in zip(((1, 2), (0, 2), (0, 1)), (stress[0, 1], stress[1, 2], stress[0, 2]), strict=True):
        result[i, j] = result[j, i] = value
    return result


def test_sound_labels_are_checked_and_nothing_is_found(sound: list[Frame]) -> None:
    found = judge(sound)
    assert found.findings == ()
    assert found.unchecked == {}
    assert set(found.checked) == {"energy", "forces", "stress"}
    assert "correlation" in found.checked["stress"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f, k: f.replace(forces=-f.forces), "the forces have the opposite sign"),
        (lambda f, k: f.replace(forces=f.forces * BOHR / HARTREE), "--forces-unit hartree/bohr"),
        (lambda f, k: f.replace(forces=np.roll(f.forces, k % 5 + 1, axis=0)), "do not match the atoms"),
        (lambda f, k: f.replace(forces=f.forces * (5.0 if k == 7 else 1.0)), "set.extxyz, frame 7"),
        (lambda f, k: f.replace(energy=f.energy / len(f) - 3.0), "--energy-unit eV/atom"),
        (lambda f, k: f.replace(energy=f.energy / HARTREE), "--energy-unit hartree"),
        (lambda f, k: f.replace(stress=-f.stress), "--stress-convention=-ase"),
        (lambda f, k: f.replace(stress=f.stress / GPA), "--stress-convention gpa"),
        (lambda f, k: f.replace(stress=-10.0 * f.stress / GPA), "--stress-convention vasp-kbar"),
        (lambda f, k: f.replace(stress=-f.volume * f.stress), "--stress-convention"),
        (lambda f, k: f.replace(stress=reordered(f.stress)), "components in another order"),
    ],
)
def test_each_fault_is_found_and_named(change: Change, words: str, sound: list[Frame]) -> None:
    assert words in messages(judge([change(f, k) for k, f in enumerate(sound)]))


def test_energies_of_other_frames_do_not_belong_to_the_forces(sound: list[Frame]) -> None:
    energies = [f.energy for f in sound]
    moved = [f.replace(energy=e) for f, e in zip(sound, energies[1:] + energies[:1], strict=True)]
    for wrong in (moved, [f.replace(energy=-f.energy) for f in sound]):
        found = judge(wrong)
        assert "the energies do not belong to the forces" in messages(found)
        assert "energy" not in found.checked


def test_a_label_that_is_absent_is_neither_checked_nor_unchecked(sound: list[Frame]) -> None:
    found = judge([f.replace(stress=None, energy=None) for f in sound])
    assert set(found.checked) == {"forces"}
    assert not found.unchecked
    nothing = judge([f.unlabelled() for f in sound])
    assert (nothing.findings, nothing.checked, nothing.unchecked) == ((), {}, {})


def test_where_an_eam_is_no_judge_nothing_is_claimed(sound: list[Frame]) -> None:
    rng = np.random.default_rng(0)
    random = [f.replace(forces=0.05 * rng.normal(size=f.forces.shape)) for f in sound]
    found = judge(random)
    assert not found.findings
    assert "not conclusive" in found.unchecked["forces"]
    assert "too few frames" in judge(sound[:4]).unchecked["forces"]


def test_too_many_elements_are_unchecked() -> None:
    metals = ("Al", "Ni", "Cu", "Pd", "Ag", "Pt", "Au")
    members = []
    for k in range(24):
        atoms = molecule("CH3OH")
        atoms.symbols[0] = metals[k % 7]
        atoms.positions += np.random.default_rng(k).normal(scale=0.25, size=(len(atoms), 3))
        atoms.calc = EMT()
        atoms.get_forces()
        members.append(frame_from_ase(atoms, f"many.extxyz, frame {k}"))
    assert "more than 8 elements" in judge(members).unchecked["energy"]


def test_a_quick_eam_knows_the_units_of_its_forces(sound: list[Frame]) -> None:
    for scale in (0.01, 1.0, 50.0):
        fitted = QuickEAM.fit([f.replace(forces=scale * f.forces) for f in sound[::2]])
        assert fitted is not None
        predictions = fitted.predict(sound[1::2])
        given = np.concatenate([scale * f.forces.ravel() for f in sound[1::2]])
        expected = np.concatenate([p.forces.ravel() for p in predictions])
        assert np.corrcoef(given, expected)[0, 1] > 0.9
        assert given @ expected / (expected @ expected) == pytest.approx(1.0, abs=0.2)
    far = [f.replace(positions=f.positions * 9.0, cell=f.cell * 9.0, pbc=np.zeros(3, dtype=bool)) for f in sound[:3]]
    assert QuickEAM.fit(far) is None

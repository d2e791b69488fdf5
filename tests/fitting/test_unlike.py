"""Labels that are wrong in some frames or in one file among several are named; sound ones are not accused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from keel.atoms.frame import Frame
from keel.atoms.labelling.labelled import frame_from_ase
from keel.atoms.read import iter_frames
from keel.atoms.units import BOHR, GPA, HARTREE
from keel.fitting.judge import Judgement, judge

Change = Callable[[Frame], Frame]

NEGATED: Change = lambda f: f.replace(forces=-f.forces)  # noqa: E731
ATOMIC: Change = lambda f: f.replace(forces=f.forces * BOHR / HARTREE)  # noqa: E731
KCAL: Change = lambda f: f.replace(forces=f.forces * 23.06)  # noqa: E731
TURNED: Change = lambda f: f.replace(stress=-f.stress)  # noqa: E731
IN_GPA: Change = lambda f: f.replace(stress=f.stress / GPA)  # noqa: E731


@cache
def crystals(elements: tuple[str, ...], frames: int = 48) -> tuple[Frame, ...]:
    """Strained and displaced crystals of some elements, none near another."""
    rng, members = np.random.default_rng(1), []
    for k in range(frames):
        atoms = bulk(elements[0], cubic=True) * (2, 2, 1)
        atoms.symbols[rng.permutation(16)[: 16 * (len(elements) - 1) // len(elements)]] = elements[-1]
        strain = rng.normal(scale=0.02, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain + strain.T), scale_atoms=True)
        atoms.positions += rng.normal(scale=0.18, size=(16, 3))
        atoms.calc = EMT()
        atoms.get_stress()
        members.append(frame_from_ase(atoms, f"set.extxyz, frame {k}"))
    return tuple(members)


def elsewhere(frames: Sequence[Frame], file: str = "other.extxyz") -> list[Frame]:
    return [f.replace(source=f"{file}, frame {k}") for k, f in enumerate(frames)]


def messages(found: Judgement) -> str:
    return " | ".join(f.message for f in found.findings)


SETS = [("Cu",), ("Al",), ("Pt",), ("Ni", "Au")]


@pytest.mark.parametrize("elements", SETS)
def test_sound_sets_are_not_accused(elements: tuple[str, ...]) -> None:
    found = judge(crystals(elements))
    assert not found.findings
    assert {"forces", "stress"} <= found.checked.keys()


@pytest.mark.parametrize("elements", SETS)
@pytest.mark.parametrize("number", [5, 16])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (NEGATED, "forces of the opposite sign"),
        (ATOMIC, "forces many times too small"),
        (KCAL, "forces several times too large"),
        (TURNED, "a stress of the opposite sign"),
        (IN_GPA, "a stress several times too large"),
    ],
)
def test_frames_that_differ_by_a_factor_are_counted_and_named(
    elements: tuple[str, ...], number: int, change: Change, words: str
) -> None:
    frames = list(crystals(elements))
    found = judge([*frames[number:], *map(change, frames[:number])])
    said = messages(found)
    assert words in said
    assert "set.extxyz, frame" in said
    if "forces" in words:
        assert "forces" not in found.checked
        assert f"{number} of 48 frames" in said
    else:
        assert "stress" not in found.checked
    if change is ATOMIC:
        assert "hartree/bohr" in said


@pytest.mark.parametrize("change", [NEGATED, ATOMIC, KCAL])
@pytest.mark.parametrize("number", [6, 20])
def test_a_wrong_file_among_right_ones_is_named(change: Change, number: int) -> None:
    frames = list(crystals(("Cu",)))
    said = messages(judge([*frames[number:], *elsewhere([change(f) for f in frames[:number]])]))
    assert f"{number} of 48 frames, all {number} of other.extxyz," in said


def test_a_file_with_another_zero_of_energy_is_told_from_unrelated_energies() -> None:
    frames = list(crystals(("Cu",)))
    moved = elsewhere([f.replace(energy=f.energy - 0.8 * len(f)) for f in frames[:20]])
    assert "the energies of the files have different zeros" in messages(judge([*frames[20:], *moved]))
    assert not judge([*frames[20:], *elsewhere(frames[:20])]).findings


def test_what_the_check_says_names_what_was_compared() -> None:
    checked = judge(crystals(("Cu",))).checked
    assert checked["forces"].startswith("agree with each other")
    assert checked["stress"].startswith("agrees, in sign and roughly in size, with the forces")


def test_frames_at_rest_are_not_too_small() -> None:
    """Relaxed frames have forces of a few meV/angstrom, in any direction."""
    rng, frames = np.random.default_rng(0), list(crystals(("Cu",)))
    rest = []
    for k in range(15):
        atoms = bulk("Cu", cubic=True) * (2, 2, 1)
        atoms.positions += rng.normal(scale=0.002, size=(16, 3))
        atoms.calc = EMT()
        atoms.get_stress()
        rest.append(frame_from_ase(atoms, f"rest.extxyz, frame {k}"))
    assert not judge([*frames, *rest]).findings


@pytest.mark.parametrize(
    "name",
    [
        "metals/mo-train",
        "metals/cu-train",
        "mptrj/li-mn-o-relaxations",
        "phosphorus/liquid-p4-pbe-d3",
        "far/dimers-pbe",
    ],
)
def test_real_sets_are_not_accused(name: str, data_dir: Path) -> None:
    assert "fitted to the other frames" not in messages(judge(list(iter_frames(data_dir / f"{name}.extxyz"))))


@pytest.mark.parametrize("elements", SETS)
def test_forces_of_another_frame_are_named(elements: tuple[str, ...]) -> None:
    frames = list(crystals(elements))
    frames[7], frames[30] = (frames[k].replace(forces=frames[m].forces) for k, m in ((7, 30), (30, 7)))
    said = messages(judge(frames))
    assert "2 of 48 frames (such as set.extxyz, frame 7) have forces that are unrelated to those of an EAM" in said

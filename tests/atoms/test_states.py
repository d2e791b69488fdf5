"""Frames of several states are named with their counts; frames of one are not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write

import keel
from keel.atoms.frame import Frame
from keel.atoms.labelling.labelled import frame_from_ase
from keel.atoms.labelling.names import EXTRAPOLATED_ENERGY
from keel.atoms.soundness.states import findings, stated


def crystals(*infos: dict[str, Any]) -> list[Frame]:
    """Rattled copper, one frame for each info."""
    frames = []
    for k, info in enumerate(infos):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=k)
        atoms.calc = EMT()
        atoms.get_potential_energy()
        frames.append(frame_from_ase(atoms, f"a.extxyz, frame {k}").replace(info=info))
    return frames


def messages(frames: list[Frame], level: str = "warn") -> list[str]:
    return [f.message for f in findings(frames) if f.level == level]


@pytest.mark.parametrize(
    ("key", "first", "second", "state"),
    [
        ("charge", 0, 1, "charge"),
        ("total_charge", 0, -1, "charge"),
        ("REF_total_spin", 1, 2, "spin"),
        ("Multiplicity", "singlet", "triplet", "spin"),
        ("spin-multiplicity", 1.0, 3.0, "spin"),
        ("magnetic_ordering", "FM", "AFM", "spin"),
        ("xc", "PBE", "r2SCAN", "functional"),
        ("head", "pbe", "r2scan", "head"),
        ("level_of_theory", "PBE", "PBE+U", "functional"),
        ("dft_u", {"Fe": 4.0}, {"Fe": 5.3}, "functional"),
        ("is_hubbard", True, False, "functional"),
        ("hubbards", np.array([0.0, 4.0]), np.array([0.0, 5.3]), "functional"),
        ("electronic_temperature", 300.0, 3000.0, "electronic temperature"),
        ("SIGMA", 0.05, 0.2, "electronic temperature"),
    ],
)
def test_states_that_vary_are_named(key: str, first: Any, second: Any, state: str) -> None:
    (message,) = messages(crystals({key: first}, {key: second}, {key: first}))
    assert message.startswith(f"{key} varies: 2 frames with ")
    assert ", 1 frame with " in message
    assert f"do not see the {state} " in message
    assert messages(crystals({key: first}, {key: first})) == []


def test_counts_of_each_value_and_of_frames_that_say_nothing() -> None:
    (message,) = messages(crystals({"charge": 0}, {"charge": 0.0}, {"charge": "0"}, {"charge": 1}, {}))
    assert "3 frames with 0, 1 frame with 1, 1 frame with none stated" in message


def test_many_values_are_counted() -> None:
    (message,) = messages(crystals(*({"charge": k} for k in range(9))))
    assert "and 3 more values" in message


@pytest.mark.parametrize(
    "key", ["charges", "discharge", "spinel", "temperature", "config_type", "mass", "stress_sigma_xx", "xcoordinate"]
)
def test_other_keys_are_no_states(key: str) -> None:
    assert stated(crystals({key: 1})) == {}


def test_two_kinds_of_energy() -> None:
    frames = crystals({EXTRAPOLATED_ENERGY: 0.0}, {EXTRAPOLATED_ENERGY: 0.0}, {})
    (message,) = messages(frames)
    assert "2 frames with a free energy" in message
    assert "1 frame with one energy only" in message
    assert messages(frames[:2]) == messages(frames[2:]) == []
    assert messages([*frames[:2], frames[2].replace(energy=None)]) == []


def test_left_handed_cells_are_counted() -> None:
    frames = crystals({}, {}, {})
    assert messages(frames, "note") == []
    left = [f.replace(cell=-f.cell) for f in frames[:2]]
    assert messages([*left, frames[2]], "note") == ["2 frames with a left-handed cell, which is used unchanged"]


def test_an_output_states_its_calculation_and_other_files_do_not_contradict_it() -> None:
    frames = crystals({"calc_encut": 520.0}, {"calc_encut": 520.0}, {})
    assert messages(frames) == []
    (message,) = messages([*frames, *crystals({"calc_encut": 300})])
    assert "2 frames with 520, 1 frame with 300; keel's networks do not see the plane-wave cutoff" in message


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"xc": "PBE", "charge": 1, "kpts": (2, 2, 2), "nelm": 60}, {"calc_xc": "PBE", "calc_charge": 1}),
        (
            {"mode": {"name": "pw", "ecut": 340.0}, "xc": {"name": "PBE"}},
            {"calc_ecut": 340.0, "calc_xc": {"name": "PBE"}},
        ),
        ({"epsilon": 0.01, "sigma": 3.4, "charge": None}, {}),
    ],
)
def test_what_a_calculator_of_ase_was_asked_for(
    tmp_path: Path, parameters: dict[str, Any], found: dict[str, Any]
) -> None:
    atoms = crystals({})[0].to_ase()
    atoms.calc.parameters.update(parameters)
    for name in ("a.traj", "a.db"):
        write(tmp_path / name, atoms)
        assert keel.read(tmp_path / name)[0].info == found
    assert frame_from_ase(atoms).info == found
    moved = atoms.copy()
    moved.calc = atoms.calc
    moved.rattle()
    assert frame_from_ase(moved).info == {}

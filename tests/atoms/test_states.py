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
        ("smearing_eV", 0.05, 0.2, "electronic temperature"),
        ("ENCUT_eV", 400, 520, "plane-wave cutoff"),
        ("kspacing", 0.2, 0.5, "sampling of k points"),
        ("pseudopotential", "PBE_52", "PBE_54", "pseudopotentials"),
        ("code", "VASP", "CP2K", "program"),
        ("vdw_correction", "D3", "none", "functional"),
        ("nelect", 44, 43, "number of electrons"),
    ],
)
def test_states_that_vary_are_named(key: str, first: Any, second: Any, state: str) -> None:
    (message,) = messages(crystals({key: first}, {key: second}, {key: first}))
    assert message.startswith(f"{key} varies: 2 frames with ")
    assert ", 1 frame with " in message
    assert f"do not see the {state} " in message
    assert messages(crystals({key: first}, {key: first})) == []


def test_electrons_are_those_of_a_composition() -> None:
    first, second = crystals({"nelect": 44}, {"nelect": 43})
    other = second.replace(numbers=np.array([29, 29, 29, 47]))
    assert messages([first, other]) == []
    (message,) = messages([first, other, second])
    assert message.startswith("nelect varies: 1 frame with 44, 1 frame with 43; ")


@pytest.mark.parametrize("key", ["total_magmom", "REF_magmom", "total_magnetization"])
def test_moments_are_mentioned_and_nothing_more(key: str) -> None:
    frames = crystals({key: 0.0}, {key: 4.0}, {key: 0.1})
    assert messages(frames) == []
    (note,) = messages(frames, "note")
    assert note.startswith(f"{key} is from 0 to 4 in 3 frames of Cu4; keel's networks do not see magnetic states")
    assert messages([frames[0], frames[2]], "note") == []
    other = frames[1].replace(numbers=np.array([29, 29, 29, 47]))
    assert messages([frames[0], other], "note") == []


@pytest.mark.parametrize("pays_from", [0, 1 << 40])
@pytest.mark.parametrize("name", ["a.extxyz", "a.traj", "a.db"])
def test_charges_and_moments_that_a_calculation_began_with(
    name: str, pays_from: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keel.atoms.formats.xyz_files.PAYS_FROM", pays_from)
    images = [frame.to_ase().copy() for frame in crystals({}, {})]
    for atoms, charges, moments in zip(images, ([1, 0, 0, 0], [0] * 4), ([1, 1, 1, 1], [1, -1, 1, -1]), strict=True):
        atoms.set_initial_charges(charges)
        atoms.set_initial_magnetic_moments(moments)
    write(tmp_path / name, images)
    frames = list(keel.read(tmp_path / name))
    assert [frame.info["total_initial_magmom"] for frame in frames] == [4.0, 0.0]
    (message,) = messages(frames)
    assert message.startswith("total_initial_charge varies: 1 frame with 1, 1 frame with none stated; ")
    (note,) = messages(frames, "note")
    assert note.startswith("total_initial_magmom is from 0 to 4 in 2 frames of Cu4")


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

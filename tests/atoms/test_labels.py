"""Labels are found under every common name and brought to eV, angstrom and ASE's sign of the stress."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import given, settings
from hypothesis import strategies as st

import keel
from keel.atoms.findings import not_used
from keel.atoms.labelling.labelled import LabelKeys, frame_from_ase
from keel.atoms.splits import group_of
from keel.atoms.units import (
    GPA,
    matrix_from_voigt,
    stress_of,
)
from keel.errors import ConfigError, DataError

FORCES = np.array([[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]])
STRESS = np.array([[1.0, 0.1, 0.2], [0.1, 2.0, 0.3], [0.2, 0.3, 3.0]])


def dimer(**info: object) -> Atoms:
    return Atoms("SiO", [[0, 0, 0], [1.6, 0, 0]], cell=[4, 5, 6], pbc=True, info=info)


@pytest.mark.parametrize("name", ["energy", "Energy", "REF_energy", "dft_energy", "DFT_energy", "total_energy"])
def test_energy_is_found(name: str) -> None:
    frame = frame_from_ase(dimer(**{name: -3.5, "topology": "abc"}))
    assert frame.energy == -3.5
    assert dict(frame.info) == {"topology": "abc"}


@pytest.mark.parametrize("name", ["forces", "force", "REF_forces", "dft_force", "Forces"])
def test_forces_are_found(name: str) -> None:
    atoms = dimer()
    atoms.set_array(name, FORCES)
    np.testing.assert_array_equal(frame_from_ase(atoms).forces, FORCES)


@pytest.mark.parametrize("shape", ["voigt", "nine", "matrix"])
@pytest.mark.parametrize(
    ("name", "sign"), [("stress", 1.0), ("REF_stress", 1.0), ("virial", -1 / 120), ("dft_virials", -1 / 120)]
)
def test_stress_is_found_in_every_shape(name: str, sign: float, shape: str) -> None:
    value = {"voigt": STRESS[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], "nine": STRESS.ravel(), "matrix": STRESS}[shape]
    np.testing.assert_allclose(frame_from_ase(dimer(**{name: value})).stress, sign * STRESS, rtol=1e-14)


def test_units_of_stress() -> None:
    np.testing.assert_allclose(stress_of(STRESS, "gpa", 1.0), STRESS * units.GPa, rtol=1e-6)
    np.testing.assert_allclose(stress_of(STRESS, "vasp-kbar", 1.0), -0.1 * STRESS * units.GPa, rtol=1e-6)
    np.testing.assert_array_equal(stress_of(STRESS, "virial", 2.0), -STRESS / 2.0)
    assert pytest.approx(units.GPa, rel=1e-6) == GPA


def test_vasp_has_another_order_of_six() -> None:
    vasp = [1.0, 2.0, 3.0, 0.1, 0.3, 0.2]  # xx yy zz xy yz zx
    np.testing.assert_allclose(stress_of(vasp, "vasp-kbar", 1.0), -0.1 * GPA * STRESS)


@given(st.lists(st.floats(-1e3, 1e3), min_size=6, max_size=6))
@settings(max_examples=25)
def test_voigt_agrees_with_ase(values: list[float]) -> None:
    from ase.stress import voigt_6_to_full_3x3_stress

    np.testing.assert_array_equal(matrix_from_voigt(values), voigt_6_to_full_3x3_stress(values))


def test_stress_of_foreign_units_by_name() -> None:
    keys = LabelKeys(stress="sigma", stress_convention="gpa")
    np.testing.assert_allclose(frame_from_ase(dimer(sigma=STRESS), keys=keys).stress, STRESS * GPA)
    with pytest.raises(ConfigError, match=r"'psi' is not one of ase, gpa, .*minus sign"):
        LabelKeys(stress_convention="psi")


def test_free_energy_is_preferred_and_the_other_kept() -> None:
    frame = frame_from_ase(dimer(energy=-3.5, free_energy=-3.6))
    assert frame.energy == -3.6
    assert frame.info["energy_extrapolated"] == -3.5
    assert dict(frame_from_ase(dimer(energy=-3.5, free_energy=-3.5)).info) == {}
    assert frame_from_ase(dimer(free_energy=-3.6)).energy == -3.6


def test_named_keys_win_and_the_rest_is_renamed() -> None:
    frame = frame_from_ase(dimer(energy=-9.0, my_energy=-3.5), keys=LabelKeys(energy="my_energy"))
    assert frame.energy == -3.5
    assert dict(frame.info) == {"other_energy": -9.0}


@pytest.mark.parametrize("label", ["energy", "forces", "stress"])
def test_a_named_key_must_be_there(label: str) -> None:
    with pytest.raises(DataError, match=f"'mine' named for the {label} is absent; the frame has name"):
        frame_from_ase(dimer(name=1), keys=LabelKeys(**{label: "mine"}))


def test_equal_duplicates_are_fine_and_contradictions_refused() -> None:
    assert frame_from_ase(dimer(energy=-3.5, REF_energy=-3.5)).energy == -3.5
    with pytest.raises(DataError, match="energy and REF_energy contradict each other; choose one"):
        frame_from_ase(dimer(energy=-3.5, REF_energy=-3.4))
    with pytest.raises(DataError, match="stress and virial contradict"):
        frame_from_ase(dimer(stress=STRESS, virial=STRESS))
    agreeing = frame_from_ase(dimer(stress=STRESS, virial=-STRESS * 120.0))
    np.testing.assert_allclose(agreeing.stress, STRESS)


def test_wrong_shapes_are_refused() -> None:
    atoms = dimer()
    atoms.info["forces"] = np.zeros(5)
    with pytest.raises(DataError, match=r"2 atoms need \(2, 3\)"):
        frame_from_ase(atoms)


def test_calculator_results_are_taken() -> None:
    atoms = dimer()
    atoms.calc = SinglePointCalculator(atoms, energy=-3.5, forces=FORCES, stress=[1, 2, 3, 0.3, 0.2, 0.1])
    frame = frame_from_ase(atoms)
    assert frame.energy == -3.5
    np.testing.assert_array_equal(frame.forces, FORCES)
    np.testing.assert_allclose(frame.stress, STRESS)
    atoms.info["energy"] = -3.4
    with pytest.raises(DataError, match="calculator's energy contradicts"):
        frame_from_ase(atoms)


def test_live_calculators_are_not_run_and_stale_results_not_taken() -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.calc = EMT()
    assert frame_from_ase(atoms).energy is None
    energy = atoms.get_potential_energy()
    assert frame_from_ase(atoms).energy == energy
    atoms.rattle(0.1)
    assert frame_from_ase(atoms).energy is None


def test_constraints_do_not_zero_forces() -> None:
    from ase.constraints import FixAtoms

    atoms = dimer()
    atoms.set_constraint(FixAtoms([0]))
    atoms.calc = SinglePointCalculator(atoms, forces=FORCES)
    np.testing.assert_array_equal(frame_from_ase(atoms).forces, FORCES)


def test_unused_columns_are_named() -> None:
    atoms = dimer()
    atoms.set_array("charge_bader", np.zeros(2))
    atoms.set_tags([1, 2])
    frame = frame_from_ase(atoms)
    assert frame.unused == ("charge_bader", "tags") and frame.info == {}


@pytest.mark.parametrize("suffix", [".extxyz", ".npz", ".db", ".keel"])
def test_names_of_unused_columns_are_not_written_and_those_of_earlier_releases_not_read(
    tmp_path: Path, suffix: str
) -> None:
    atoms = dimer()
    atoms.set_tags([1, 2])
    frame = frame_from_ase(atoms)
    # Earlier releases kept them in info, and wrote them with it.
    for written in (frame, frame.replace(info={"unused_columns": "energies"}, unused=())):
        keel.write(tmp_path / f"a{suffix}", written)
        (found,) = keel.read(tmp_path / f"a{suffix}")
        assert found.info == {}
        if suffix == ".keel":
            assert list(keel.read(tmp_path / "a.keel").infos()) == [{}] and found.unused
        else:
            assert found.unused == () and not any("energies" in text for text in not_used([found]))
    with pytest.raises(DataError, match="its keys are none"):
        group_of(found, "topo")


def test_a_slab_has_no_stress_but_says_so() -> None:
    atoms = dimer(stress=STRESS)
    atoms.pbc = [True, True, False]
    frame = frame_from_ase(atoms)
    assert frame.stress is None
    np.testing.assert_array_equal(frame.info["other_stress"], STRESS)


def test_frame_to_ase_and_back() -> None:
    atoms = dimer(topology="abc")
    atoms.calc = SinglePointCalculator(atoms, energy=-3.5, forces=FORCES, stress=[1, 2, 3, 0.3, 0.2, 0.1])
    frame = frame_from_ase(atoms)
    again = frame_from_ase(frame.to_ase())
    assert again.energy == frame.energy
    assert dict(again.info) == dict(frame.info)
    for name in ("numbers", "positions", "cell", "pbc", "forces", "stress"):
        np.testing.assert_array_equal(getattr(again, name), getattr(frame, name))

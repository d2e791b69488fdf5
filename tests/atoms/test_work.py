"""Slope and scatter decide: what belongs together agrees, what does not is named or warned of."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet
from hypothesis import given
from hypothesis import strategies as st

from keel.atoms.census import take_census
from keel.atoms.frame import Frame
from keel.atoms.labelling.labelled import frame_from_ase
from keel.atoms.soundness.invariance import forces_against_symmetry, stress_against_symmetry
from keel.atoms.soundness.readings import likely_forces, likely_stress, stress_factor
from keel.atoms.soundness.stiffness import another_order, doubtful_forces, doubtful_stress
from keel.atoms.soundness.work import _error, check_forces, check_stress
from keel.atoms.units import BOHR, GPA, HARTREE


def crystals(frames: int, move: float, strain: float = 0.0, seed: int = 0) -> list[Frame]:
    """Copper and gold whose atoms walk at random, and whose cell does."""
    rng, members = np.random.default_rng(seed), []
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.numbers[::3] = 79
    for step in range(frames):
        change = rng.normal(scale=strain, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + change + change.T), scale_atoms=True)
        atoms.positions += rng.normal(scale=move, size=(8, 3))
        atoms.calc = EMT()
        atoms.get_stress()
        members.append(frame_from_ase(atoms, f"run.extxyz, frame {step}"))
    return members


@pytest.fixture(scope="module")
def run() -> list[Frame]:
    return crystals(40, 0.02)


@pytest.fixture(scope="module")
def strained() -> list[Frame]:
    return crystals(40, 0.005, 0.006)


def changed(frames: list[Frame], energy: float = 1.0, forces: float = 1.0) -> list[Frame]:
    return [f.replace(energy=f.energy * energy, forces=f.forces * forces) for f in frames]


def test_what_agrees_says_how_well_and_claims_no_units(run: list[Frame]) -> None:
    check = check_forces(run)
    assert abs(check.slope - 1.0) < check.error + 0.01
    assert check.scatter < 0.05
    assert str(check).startswith("agree with the energies (slope 1.00 ± 0.0")
    assert "39 neighbouring frames), whatever the units of both" in str(check)
    assert check_forces(changed(run, 23.0605, 23.0605)).slope == pytest.approx(check.slope, abs=0.02)


@pytest.mark.parametrize("slope", [0.25, 0.44, 0.6, 0.75, 1.35, 1.7])
def test_no_other_slope_is_called_agreement(slope: float, run: list[Frame]) -> None:
    check = check_forces(changed(run, energy=slope))
    assert check.contradiction or check.warning
    assert "agree with" not in str(check)


def test_scatter_at_a_slope_of_one_is_warned_of(run: list[Frame]) -> None:
    work = float(np.std([b.energy - a.energy for a, b in pairwise(run)]))
    rng = np.random.default_rng(0)
    noisy = [f.replace(energy=f.energy + rng.normal(scale=0.3 * work)) for f in run]
    check = check_forces(noisy)
    assert check.contradiction is None
    assert check.warning is not None
    assert "the energies are inconsistent with the forces" in check.warning
    assert check.warning in [f.message for f in take_census(noisy).findings if f.level == "warn"]


def test_energies_that_have_nothing_to_do_with_the_forces_are_a_finding(run: list[Frame]) -> None:
    shuffled = [f.replace(forces=np.roll(f.forces, k % 7 + 1, axis=0)) for k, f in enumerate(run)]
    assert "are inconsistent with" in str(check_forces(shuffled))


def test_a_jump_of_the_zero_that_drowns_the_rest_is_named(run: list[Frame]) -> None:
    check = check_forces([*run[:20], *(f.replace(energy=f.energy + 30.0) for f in run[20:])])
    assert not check.conclusive
    assert check.warning is not None and check.warning.startswith("between 1 of 39 neighbouring frames")
    assert "first between run.extxyz, frame 19 and run.extxyz, frame 20; check the labels there" in check.warning


def test_frames_of_wrong_forces_are_named(run: list[Frame]) -> None:
    wrong = [f.replace(forces=5.0 * f.forces) if k % 8 == 1 else f for k, f in enumerate(run)]
    check = check_forces(wrong)
    assert check.contradiction is None
    assert check.warning is not None
    assert "of 39 neighbouring frames the energy does not change by the work of the forces" in check.warning
    assert 2 <= check.astray <= 10
    assert any(f"run.extxyz, frame {k}" in check.warning for k in range(1, 40, 8))
    jump = [f.replace(energy=f.energy + (0.5 if k > 17 else 0.0)) for k, f in enumerate(run)]
    assert check_forces(jump).warning is None


@pytest.mark.parametrize("move", [0.01, 0.05, 0.1, 0.15])
def test_long_steps_are_no_fault(move: float) -> None:
    check = check_forces(crystals(30, move, seed=3))
    assert check.contradiction is None
    assert check.warning is None


@given(st.floats(0.5, 3.0), st.integers(0, 100))
def test_the_interval_holds_the_slope(slope: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.linspace(0.0, 3.0, 40)
    force, energy = -np.sin(x), -np.cos(x)  # of E = -cos x, one atom on a line
    frames = [
        Frame(np.array([29]), np.array([[a, 0.0, 0.0]]), np.eye(3) * 20).replace(
            energy=slope * e + rng.normal(scale=1e-3), forces=np.array([[f, 0.0, 0.0]])
        )
        for a, f, e in zip(x, force, energy, strict=True)
    ]
    check = check_forces(frames)
    assert abs(check.slope - slope) < 3.0 * check.error + 0.01 * slope


def test_the_work_beside_a_strain_counts_where_the_cell_never_rests(strained: list[Frame]) -> None:
    assert check_forces([f.replace(stress=None) for f in strained]).pairs == 0
    assert check_forces(strained).slope == pytest.approx(1.0, abs=0.05)
    assert check_stress(strained).slope == pytest.approx(1.0, abs=0.05)
    assert check_forces(changed(strained, forces=BOHR / HARTREE)).contradiction


def test_cells_that_point_in_opposite_directions_are_left_out(strained: list[Frame]) -> None:
    turned = [f.replace(cell=f.cell * [[-1], [-1], [1]]) if k % 2 else f for k, f in enumerate(strained)]
    assert check_stress(turned).pairs == 0
    assert doubtful_stress(turned) is None


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (HARTREE / BOHR, ["--forces-unit hartree/bohr"]),
        (-1.0, ["--forces-unit=-eV/angstrom"]),
        (1.0 / 12, ["--energy-unit eV/atom"]),
        (1.0 / HARTREE, ["--energy-unit hartree"]),
        (1.0 / BOHR, ["--forces-unit eV/bohr", "--energy-unit hartree --forces-unit=hartree/bohr"]),
        (23.0605, ["--energy-unit kcal/mol"]),
        (5.0, ["a unit or a sign is wrong"]),
    ],
)
def test_a_factor_of_forces_names_the_option(factor: float, words: list[str]) -> None:
    factor = 1.0 / factor if "kcal" in words[0] else factor
    text = likely_forces(1.0 / 0.0433641153 if "kcal" in words[0] else factor, 12.0)
    assert all(word in text for word in words)


@pytest.mark.parametrize(
    ("factor", "option"),
    [
        (-1.0, "=-ase"),
        (GPA, " gpa"),
        (-GPA, "=-gpa"),
        (0.1 * GPA, " kbar"),
        (-0.1 * GPA, " vasp-kbar"),
        (-1e-4 * GPA, " bar"),
        (-1.0 / 321.0, " virial"),
        (30.0, ""),
    ],
)
def test_a_factor_of_stress_names_the_convention(factor: float, option: str) -> None:
    assert f"--stress-convention{option}" in likely_stress(factor, 321.0)


def test_stiffness_tells_sign_size_and_order_without_energies(run: list[Frame]) -> None:
    bare = [f.replace(energy=None) for f in run]
    assert doubtful_forces(bare) is None
    for change, words in (
        (lambda f, k: -f, "opposite sign"),
        (lambda f, k: 0.002 * f, "hartree/bohr"),
        (lambda f, k: 96.0 * f, "too large"),
        (lambda f, k: np.roll(f, k % 7 + 1, axis=0), "do not match the atoms"),
    ):
        wrong = [f.replace(forces=change(f.forces, k)) for k, f in enumerate(bare)]
        assert words in str(doubtful_forces(wrong))


def test_forces_of_the_next_atom_in_a_crystal_are_not_named_as_turned_alone(run: list[Frame]) -> None:
    """In fcc the force on one atom in the file is nearly opposite to that on the one before it."""
    start = run[0].to_ase()
    start.calc, frames = EMT(), []
    MaxwellBoltzmannDistribution(start, temperature_K=600, rng=np.random.default_rng(0))
    for _ in range(20):
        VelocityVerlet(start, 5 * units.fs).run(3)
        frames.append(frame_from_ase(start))
    assert doubtful_forces(frames) is None
    said = str(doubtful_forces([f.replace(forces=np.roll(f.forces, 1, axis=0)) for f in frames]))
    assert "stand at other atoms" in said or "do not match the atoms" in said


def test_stiffness_of_a_strain_tells_sign_size_and_order_of_the_stress(strained: list[Frame]) -> None:
    bare = [f.replace(energy=None, forces=None) for f in strained]
    assert doubtful_stress(bare) is None
    for change, words in (
        (lambda s: -s, "opposite sign"),
        (lambda s: s / GPA, "too large"),
        (reordered, "another order"),
    ):
        assert words in str(doubtful_stress([f.replace(stress=change(f.stress)) for f in bare]))


@pytest.mark.parametrize("seed", range(4))
def test_the_opposite_sign_is_no_other_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    expected = rng.normal(size=(40, 3)) * [1.0, 0.8, 0.6]
    given = expected + 0.5 * rng.normal(size=expected.shape)
    assert another_order(given, expected) is another_order(-given, expected) is None
    assert "in another order" in str(another_order(given[:, [2, 0, 1]], expected))


def reordered(stress: np.ndarray) -> np.ndarray:
    """Return a stress in VASP's order that was read in ASE's."""
    result = np.diag(np.diag(stress))
    for (i, j), value in zip(((1, 2), (0, 2), (0, 1)), (stress[0, 1], stress[1, 2], stress[0, 2]), strict=True):
        result[i, j] = result[j, i] = value
    return result


def test_a_bond_that_is_pulled_apart_is_soft_and_no_fault() -> None:
    distances = np.linspace(2.0, 6.0, 40)
    slopes = 4.0 * (np.exp(-2.4 * (distances - 1.8)) - np.exp(-1.2 * (distances - 1.8)))
    frames = [
        Frame(np.array([8, 8]), np.array([[0, 0, 0], [r, 0, 0]], dtype=float)).replace(
            forces=np.array([[-s, 0, 0], [s, 0, 0]])
        )
        for r, s in zip(distances, slopes, strict=True)
    ]
    assert doubtful_forces(frames) is None


def test_symmetry_tells_the_order_of_atoms_and_of_stresses() -> None:
    frames = []
    for k in range(8):
        # Six layers along z; the two beside the first move away from it, so that it and the fourth stay mirrors.
        atoms = bulk("Cu", cubic=True) * (1, 1, 3)
        layers = np.round(atoms.positions[:, 2] / 1.805).astype(int)
        atoms.positions[layers == 1, 2] += 0.02 * (k + 1)
        atoms.positions[layers == 5, 2] -= 0.02 * (k + 1)
        shear = np.array([[1.01, 0.0, 0.01], [0.0, 1.0, 0.0], [0.01, 0.0, 1.02]]) if k % 2 else np.eye(3)
        atoms.set_cell(atoms.cell.array @ shear, scale_atoms=True)
        atoms.calc = EMT()
        atoms.get_stress()
        frames.append(frame_from_ase(atoms, f"layers.extxyz, frame {k}"))
    assert forces_against_symmetry(frames) is None
    sheared = frames[1::2] * 2
    assert stress_against_symmetry(sheared) is None
    rolled = [f.replace(forces=np.roll(f.forces, 2, axis=0)) for f in frames]
    assert "act on atoms on which symmetry allows none" in str(forces_against_symmetry(rolled))
    assert "another order" in str(stress_against_symmetry([f.replace(stress=reordered(f.stress)) for f in sheared]))


def test_few_pairs_refuse_no_stress(strained: list[Frame]) -> None:
    foreign = [f.replace(stress=f.stress / GPA) for f in strained]
    assert check_stress(foreign).contradiction
    few = check_stress(foreign[:6])
    assert few.contradiction is few.warning is None
    assert "cannot be checked: too few" in str(few)


def test_the_interval_of_few_pairs_is_that_of_student() -> None:
    given, true = np.ones(5), np.array([0.9, 1.1, 1.0, 0.8, 1.2])
    spread = true.std(ddof=0) * 5 / 4 / np.sqrt(5)  # residuals of HC3 are larger by 1 / (1 - 1/5)
    assert _error(given, true, 1.0) == pytest.approx(2.776 * spread, rel=1e-3)


@pytest.mark.parametrize(
    ("given", "right", "option"),
    [
        ("ase", "-ase", "--stress-convention=-ase"),
        ("-ase", "ase", "--stress-convention ase"),
        ("vasp-kbar", "ase", "--stress-convention ase"),
        ("vasp-kbar", "gpa", "--stress-convention gpa"),
        ("gpa", "-gpa", "--stress-convention=-gpa"),
        ("virial", "ase", "--stress-convention ase"),
    ],
)
def test_hints_are_relative_to_the_convention_applied(given: str, right: str, option: str) -> None:
    volume = 700.0
    factor = stress_factor(right, volume) / stress_factor(given, volume)
    said = likely_stress(factor, volume, {"stress": given})
    assert option in said
    assert f"({option})" in said.split("; or ")[0]


def test_a_stress_read_with_the_opposite_sign_is_to_be_read_with_the_usual_one(strained: list[Frame]) -> None:
    turned = [f.replace(stress=-f.stress, read_in={"stress": "-ase"}) for f in strained]
    assert "(--stress-convention ase)" in str(check_stress(turned))
    said = doubtful_stress(turned)
    assert said is not None
    assert "--stress-convention ase" in said
    assert "--stress-convention=-ase" not in said


def test_hints_for_forces_are_relative_to_the_units_applied() -> None:
    assert "--forces-unit eV/angstrom)" in likely_forces(BOHR / HARTREE, 8, {"forces": "hartree/bohr"})
    assert "--energy-unit eV)" in likely_forces(HARTREE, 8, {"energy": "hartree"})

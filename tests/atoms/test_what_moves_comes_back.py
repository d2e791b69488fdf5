"""Label masks, constraints, masses and velocities come back from every format that keel writes, and from ASE."""

import numpy as np
import pytest
from ase.constraints import FixAtoms, FixCartesian
from hypothesis import given, settings
from hypothesis import strategies as st

import keel
from keel.atoms.frame import Frame
from keel.atoms.mobility import motion_in_words, no_velocities
from keel.atoms.motion_columns import constraints

NAMES = ("forces_mask", "fixed", "masses", "velocities")


def salt(**changes) -> Frame:
    rng = np.random.default_rng(0)
    made = Frame(
        np.array([11, 17, 11, 17]),
        np.array([[0.1, 0, 0], [2.8, 0, 0], [0, 2.8, 2.8], [2.8, 2.8, 2.8]]),
        5.6 * np.eye(3),
        np.ones(3, dtype=bool),
        energy=-12.5,
        forces=rng.normal(size=(4, 3)),
        stress=0.01 * np.eye(3),
    )
    return made.replace(**changes)


MOVING = {
    "forces_mask": np.array([True, False, True, True]),
    "fixed": np.array([[True] * 3, [False] * 3, [False, True, True], [False] * 3]),
    "masses": np.array([23.5, 35.0, 24.5, 37.0]),
    "velocities": 0.01 * np.random.default_rng(1).normal(size=(4, 3)) * np.array([[0], [1], [1], [1]]),
}


def same(one: Frame, other: Frame) -> None:
    for name in NAMES:
        expected, found = getattr(one, name), getattr(other, name)
        assert (expected is None) == (found is None), name
        if expected is not None:
            np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-16, err_msg=name)
    np.testing.assert_array_equal(other.forces, one.forces)
    assert (other.energy, other.numbers.tolist()) == (one.energy, one.numbers.tolist())


@pytest.mark.parametrize("suffix", ["extxyz", "npz", "db", "keel"])
def test_from_files(suffix, tmp_path):
    """Frames that have none of it stand beside those that have some or all."""
    frames = [salt(), salt(**MOVING), *(salt(**{name: MOVING[name]}) for name in NAMES)]
    keel.write(tmp_path / f"x.{suffix}", frames)
    for one, other in zip(frames, keel.read(tmp_path / f"x.{suffix}"), strict=True):
        same(one, other)


@given(st.sets(st.sampled_from(NAMES)))
@settings(max_examples=16)
def test_from_ase(names):
    frame = salt(**{name: MOVING[name] for name in names})
    atoms = frame.to_ase()
    same(frame, keel.atoms.as_frame(atoms))
    assert bool(atoms.constraints) == ("fixed" in names)


def test_what_is_fixed_stays_in_simulations_of_ase():
    whole, partly = constraints(MOVING["fixed"])[::-1]
    assert isinstance(whole, FixAtoms) and whole.index.tolist() == [0]
    assert isinstance(partly, FixCartesian) and partly.index.tolist() == [2]
    atoms = salt(**MOVING).to_ase()
    before = atoms.positions.copy()
    atoms.set_positions(before + 0.1)
    assert ((atoms.positions == before) == MOVING["fixed"]).all()


def test_of_some_atoms_what_moves_them_comes_too():
    n = 4
    frame = keel.Frame(
        np.array([14, 8, 8, 1]),
        np.arange(12.0).reshape(n, 3),
        forces=np.ones((n, 3)),
        energy=-1.0,
        fixed=np.arange(12).reshape(n, 3) % 2 == 0,
        masses=np.array([28.0, 16.0, 18.0, 2.0]),
        velocities=np.arange(12.0).reshape(n, 3) / 100,
    )
    for atoms in (np.array([2, 0]), np.array([False, True, True, False])):
        taken = frame.taken(atoms)
        for name in ("numbers", "positions", "fixed", "masses", "velocities"):
            np.testing.assert_array_equal(getattr(taken, name), getattr(frame, name)[atoms])
        assert taken.energy is taken.forces is None


def test_a_structure_made_longer_keeps_its_fractions_and_what_moves_but_no_label():
    frame = salt(**MOVING)
    longer = frame.scaled(1.25)
    assert longer.volume == pytest.approx(1.25**3 * frame.volume)
    fractions = [f.positions @ np.linalg.inv(f.cell) for f in (frame, longer)]
    np.testing.assert_allclose(fractions[1], fractions[0], atol=1e-14)
    for name in ("fixed", "masses", "velocities"):
        np.testing.assert_array_equal(getattr(longer, name), getattr(frame, name))
    assert longer.energy is longer.forces is longer.stress is longer.forces_mask is None


@pytest.mark.parametrize(
    "name",
    # GPUMD, QUIP, and names that users give.
    [
        "vel",
        "velo",
        "velocities",
        "v",
        "fixed",
        "frozen",
        "constraints",
        "selective_dynamics",
        "atomic_mass",
        "initial_masses",
    ],
)
def test_columns_that_speak_of_motion_and_are_not_used_are_named(tmp_path, name):
    frame = salt()
    atoms = frame.to_ase()
    atoms.set_array(name, np.zeros((4, 3)) if name.startswith(("v", "sel")) else np.ones(4))
    atoms.set_array("charges", np.ones(4))
    atoms.write(tmp_path / "a.extxyz")
    (read,) = keel.read(tmp_path / "a.extxyz", labels=False)
    (said,) = motion_in_words([read], "draw")
    assert said.startswith(f"not used: columns {name} (read are momenta")
    said = no_velocities(read)
    assert (
        (f"its column {name} is not read" in said) == name.startswith("v") != (said == "it has no initial velocities")
    )
    assert motion_in_words([keel.atoms.labelling.labelled.frame_from_ase(frame.to_ase())], "draw") == []

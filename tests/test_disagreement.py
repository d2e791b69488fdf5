"""The disagreement about each atom: its formula, its symmetries, and what a calculator says of it."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.md.verlet import VelocityVerlet
from hypothesis import given, settings
from hypothesis import strategies as st

import keel
from keel.disagreement import COLUMN, disagreement, force_disagreement, forces_of
from keel.errors import DataError
from simulated import argon, molecule
from small_potentials import cgcnn, eam

LJ = keel.LennardJones(cutoff=6.0)
STRONG = keel.LennardJones(epsilon=1.5 * float(LJ.epsilon), cutoff=6.0)
SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=30)
@given(SEEDS, st.integers(1, 5), st.integers(0, 7))
def test_its_square_is_the_mean_of_those_of_pairs(seed, n_others, n_atoms):
    rng = np.random.default_rng(seed)
    own, *others = rng.normal(size=(n_others + 1, n_atoms, 3))
    found = disagreement(own, others)
    pairs = np.array([np.linalg.norm(other - own, axis=1) for other in others])
    np.testing.assert_allclose(found**2, (pairs**2).mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(disagreement(own, others[::-1]), found)
    np.testing.assert_allclose(disagreement(own, [*others, *others]), found)
    assert (found <= pairs.max(axis=0) + 1e-12).all() and not disagreement(own, [own]).any()


def test_a_potential_half_as_strong_again_disagrees_by_half_the_force():
    frames = [argon(1, 0.2), molecule([[0, 0, 0], [3.5, 0, 0]], [18, 18])]
    found = force_disagreement(LJ, STRONG, frames)
    for one, forces in zip(found, forces_of(LJ, frames), strict=True):
        np.testing.assert_allclose(one, 0.5 * np.linalg.norm(forces, axis=1), rtol=1e-6, atol=1e-12)
    both = force_disagreement(LJ, [LJ, STRONG], frames)
    np.testing.assert_allclose(both[0], found[0] / np.sqrt(2), rtol=1e-6)
    assert force_disagreement(LJ, STRONG, []) == []


@settings(max_examples=10)
@given(SEEDS)
def test_it_belongs_to_the_atoms_whatever_their_order_and_cell(seed):
    rng = np.random.default_rng(seed)
    frame = argon(1, 0.2, seed=seed % 1000)
    (found,) = force_disagreement(LJ, STRONG, frame)
    order = rng.permutation(len(frame))
    moved = frame.replace(positions=frame.positions[order] + rng.normal(size=3), numbers=frame.numbers[order])
    np.testing.assert_allclose(force_disagreement(LJ, STRONG, moved)[0], found[order], rtol=1e-6)
    np.testing.assert_allclose(
        force_disagreement(LJ, STRONG, frame.repeated((2, 1, 1)))[0], np.tile(found, 2), rtol=1e-6
    )


def test_what_is_unknown_beside_is_said_in_one_sentence():
    frame = molecule([[0, 0, 0], [2.0, 0, 0]], [14, 15]).replace(source="mine.xyz, frame 3")
    with pytest.raises(
        DataError, match=r"^mine\.xyz, frame 3: the EAM beside knows O, Si but the structures contain P"
    ):
        force_disagreement(LJ, eam(), frame)
    with pytest.raises(DataError, match="give at least one beside"):
        force_disagreement(LJ, [], frame)


def test_a_calculator_says_it_at_every_step():
    atoms = bulk("Ar", cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.calc = keel.KeelCalculator(LJ, beside=[STRONG, keel.KeelCalculator(LJ)])
    VelocityVerlet(atoms, 5 * units.fs).run(3)
    (expected,) = force_disagreement(LJ, [STRONG, LJ], atoms)
    found = atoms.calc.get_property(COLUMN, atoms)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert atoms.calc.results["max_force_disagreement"] == pytest.approx(expected.max())
    assert atoms.get_potential_energy() == pytest.approx(keel.KeelCalculator(LJ).get_potential_energy(atoms))
    for again in (copy.deepcopy(atoms.calc), pickle.loads(pickle.dumps(atoms.calc))):
        atoms.rattle(0.1, seed=2)
        np.testing.assert_allclose(
            again.get_property(COLUMN, atoms), force_disagreement(LJ, [STRONG, LJ], atoms)[0], rtol=1e-6
        )
    with pytest.raises(PropertyNotImplementedError):
        keel.KeelCalculator(LJ).get_property(COLUMN, atoms)


def test_a_calculator_refuses_atoms_that_one_beside_does_not_know():
    atoms = bulk("Ar")
    atoms.calc = keel.KeelCalculator(LJ, beside=cgcnn())
    with pytest.raises(DataError, match="CGCNN knows O, Si"):
        atoms.get_forces()

"""Crystals pulled apart: against lattice sums and potentials whose free atoms are nowhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule

from keel.atoms.conversion import as_frame
from keel.atoms.frame import Frame
from keel.evaluation.equilibrium.stretching import DEEPEST, FARTHEST, STRONGEST, stretching
from keel.potentials import LennardJones
from keel.potentials.classical.pair import PairPotential

NAMES = ("deepest fall below the crystal", "free atoms above the crystal", "highest barrier above the free atoms")


class Bump(PairPotential):
    """A Gaussian of some height in eV around 6 angstrom, smooth at the cutoff."""

    def __init__(self, height: float) -> None:
        super().__init__(8.5)
        self.height = height

    def config(self):
        return {"height": self.height}

    def pair_energy(self, r, first, second):
        x = (r - 6.0) / 0.5
        bump = self.height * torch.exp(-x * x)
        return bump, -4.0 * x * bump


def argon(a: float = 5.25) -> Frame:
    return as_frame(bulk("Ar", a=a, cubic=True))


def cohesion(a: float) -> float:
    """Energy of an fcc crystal of argon in eV/atom, by a lattice sum."""
    n = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3), axis=-1).reshape(-1, 3)
    r = np.linalg.norm(n[(n.sum(axis=1) % 2 == 0) & n.any(axis=1)], axis=1) * a / 2
    potential = LennardJones()
    x = torch.tensor(r[r < potential.cutoff])
    return 0.5 * float(potential.pair_energy(x, x, x)[0].sum())


def test_free_atoms_lie_above_the_crystal_by_its_lattice_sum():
    result = stretching(LennardJones(), [argon()])
    deepest, free, barrier = (result[name] for name in NAMES)
    assert result.outcome == "passed"
    assert free == pytest.approx(-cohesion(5.25), rel=1e-6) and barrier == pytest.approx(0.0, abs=1e-9)
    assert deepest == 0.0
    (curve,) = result.curves
    assert (curve.x[0], curve.x[-1]) == (1.0, FARTHEST) and curve.y[0] == 0.0
    assert "pulled apart to 4 times the length, Ar4 at 36.2 angstrom^3/atom: free atoms lie" in result.verdict


def test_offsets_and_supercells_change_nothing():
    shifted = LennardJones()
    shifted.set_offsets({18: -500.0})
    expected = stretching(LennardJones(), [argon()]).curves[0].y
    for potential, frame in ((shifted, argon()), (LennardJones(), argon().repeated((2, 1, 1)))):
        np.testing.assert_allclose(stretching(potential, [frame]).curves[0].y, expected, atol=1e-10)


def test_a_crystal_squeezed_to_begin_with_gains_a_little_and_passes():
    result = stretching(LennardJones(), [argon(5.0)])
    assert result.outcome == "passed" and 0.0 < result[NAMES[0]] < DEEPEST


@pytest.mark.parametrize("height", [-1.0, -0.4])
def test_gaps_that_win_energy_fail_with_their_place(height):
    result = stretching(Bump(height), [argon(7.0)])
    assert result.outcome == "failed" and result[NAMES[0]] > DEEPEST
    assert "Ar4 at 85.7 angstrom^3/atom gains" in result.verdict and "form by themselves" in result.verdict
    (curve,) = result.curves
    assert f"to {curve.x[np.argmin(curve.y)]:.2f} of its length" in result.verdict


def test_a_barrier_is_a_number_to_look_at():
    result = stretching(Bump(0.2), [argon(7.0)])
    # Twelve neighbours at 6 angstrom, each bond shared by two atoms; the others are out of reach.
    assert result.outcome == "passed" and result[NAMES[2]] == pytest.approx(6 * 0.2, rel=0.05)


def test_bonds_stronger_than_of_any_matter_fail():
    result = stretching(LennardJones(epsilon=4.0), [argon()])
    assert result.outcome == "failed" and result[NAMES[1]] > STRONGEST
    assert "no matter is bound by more than 10" in result.verdict


def test_the_worst_of_several_crystals_is_named():
    result = stretching(LennardJones(epsilon=4.0), [argon(7.5), argon(5.25)])
    assert "Ar4 at 36.2" in result.verdict
    assert result["crystals with unphysical energies"] == 1 and len(result.curves) == 2


def test_numbers_that_are_none_fail():
    class EndsInNaN(LennardJones):
        def pair_energy(self, r, first, second):
            phi, slope = super().pair_energy(r, first, second)
            return torch.where(r > 5.0, torch.nan, phi), slope

    result = stretching(EndsInNaN(), [argon()])
    assert result.outcome == "failed" and "an energy that is not finite" in result.verdict


def test_nothing_to_stretch_is_skipped():
    result = stretching(LennardJones(), [as_frame(molecule("H2O"))])
    assert (result.outcome, result.metrics) == ("skipped", ())

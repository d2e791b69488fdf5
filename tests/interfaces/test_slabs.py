"""Slabs and wires: their stress is that of ASE, per volume of the cell, and relaxes the plane or the axis."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import fcc111, graphene
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

import keel
from keel.atoms.labelling.labelled import frame_from_ase
from keel.interfaces.ase import KeelCalculator
from keel.potentials.batches import predictions
from keel.potentials.external import ASEPotential
from strains import work_of_strain

PAIR = keel.LennardJones(epsilon=0.1, sigma=2.3, cutoff=5.0)


def network() -> keel.Potential:
    torch.manual_seed(0)
    return keel.CGCNN(elements=[29], cutoff=4.0, features=8, convolutions=1).double()


def slab(vacuum: float = 8.0, tilted: bool = False) -> Atoms:
    atoms = fcc111("Cu", (2, 2, 3), a=3.55, vacuum=vacuum)
    atoms.rattle(0.05, seed=1)
    if tilted:
        atoms.cell[2] += [0.7, -0.4, 0.0]
    return atoms


def wire() -> Atoms:
    atoms = Atoms("Cu4", [[5, 5, 2.4 * k] for k in range(4)], cell=[10, 11, 9.6], pbc=[False, False, True])
    atoms.rattle(0.05, seed=1)
    return atoms


@pytest.mark.parametrize("atoms", [slab(), slab(tilted=True), wire()], ids=["slab", "tilted", "wire"])
@pytest.mark.parametrize("potential", [PAIR, network()], ids=["closed form", "network"])
def test_stress_is_the_work_of_strain_per_volume_of_the_cell(potential, atoms):
    atoms, calculator = atoms.copy(), KeelCalculator(potential, dtype="float64")
    atoms.calc = calculator
    stress = atoms.get_stress(voigt=False)
    for a in range(3):
        for b in range(a + 1):
            expected = work_of_strain(atoms, KeelCalculator(potential, dtype="float64"), a, b) / atoms.get_volume()
            assert stress[a, b] == pytest.approx(expected, abs=1e-7)


def test_more_vacuum_dilutes_it():
    forces = []
    for vacuum in (6.0, 12.0):
        atoms = slab(vacuum)
        atoms.calc = KeelCalculator(PAIR)
        forces.append(atoms.get_stress() * atoms.get_volume())
    np.testing.assert_allclose(forces[0], forces[1], atol=1e-9)


@pytest.mark.parametrize("atoms", [slab(), wire()], ids=["slab", "wire"])
def test_every_door_says_the_same(atoms):
    frame = frame_from_ase(atoms, "atoms")
    by_door = {}
    for name, potential in {"closed form": PAIR.double(), "network": network()}.items():
        atoms.calc = KeelCalculator(potential)
        found = [potential([frame]).stress[0], next(iter(predictions([frame], potential)))[1].stress[0]]
        by_door[name] = [atoms.get_stress(voigt=False), *(s.numpy() for s in found)]
        for stress in by_door[name]:
            np.testing.assert_allclose(stress, by_door[name][0], atol=1e-12)


@pytest.mark.parametrize("atoms", [slab(), wire()], ids=["slab", "wire"])
def test_a_calculator_of_another_package_keeps_its_stress(atoms):
    frame = frame_from_ase(atoms, "atoms")
    atoms.calc = EMT()
    np.testing.assert_allclose(ASEPotential(EMT())([frame]).stress[0], atoms.get_stress(voigt=False), atol=1e-12)


@pytest.mark.parametrize("potential", [ASEPotential(EMT()), PAIR], ids=["EMT", "closed form"])
def test_the_plane_relaxes(potential):
    """To where no other length in the plane has less energy; EMT as with its own calculator."""
    atoms = fcc111("Cu", (1, 1, 3), a=3.5, vacuum=8.0)
    height = atoms.cell[2].copy()
    atoms.calc = KeelCalculator(potential, dtype="float64")
    assert BFGS(FrechetCellFilter(atoms, mask=[1, 1, 0, 0, 0, 1]), logfile=None).run(1e-3, 200)
    np.testing.assert_allclose(atoms.cell[2], height, atol=1e-6)
    lowest = atoms.get_potential_energy()
    for scale in (0.99, 1.01):
        other = atoms.copy()
        other.calc = KeelCalculator(potential, dtype="float64")
        other.set_cell(atoms.cell.array * np.array([[scale], [scale], [1.0]]), scale_atoms=True)
        assert other.get_potential_energy() > lowest
    if isinstance(potential, ASEPotential):
        theirs = fcc111("Cu", (1, 1, 3), a=3.5, vacuum=8.0)
        theirs.calc = EMT()
        BFGS(FrechetCellFilter(theirs, mask=[1, 1, 0, 0, 0, 1]), logfile=None).run(1e-3, 200)
        np.testing.assert_allclose(atoms.cell.lengths()[:2], theirs.cell.lengths()[:2], atol=1e-4)


def test_a_wire_relaxes_along_its_axis():
    """As with ASE's own EMT."""
    lengths = []
    for calculator in (EMT(), KeelCalculator(ASEPotential(EMT()), dtype="float64")):
        atoms = Atoms("Cu4", [[5, 5, 2.4 * k] for k in range(4)], cell=[10, 10, 9.6], pbc=[False, False, True])
        atoms.calc = calculator
        assert BFGS(FrechetCellFilter(atoms, mask=[0, 0, 1, 0, 0, 0]), logfile=None).run(1e-4, 50)
        lengths.append(atoms.cell.lengths())
    np.testing.assert_allclose(*lengths, atol=1e-6)
    assert lengths[0][2] < 9.5


@pytest.mark.parametrize(("axes", "missing"), [((0,), "0"), ((0, 1), r"\(0, 1\)")])
def test_a_wire_without_a_volume_is_refused_in_words(axes, missing):
    atoms = wire()
    atoms.cell[list(axes)] = 0
    atoms.calc = KeelCalculator(PAIR)
    assert np.isfinite(atoms.get_forces()).all()
    with pytest.raises(PropertyNotImplementedError, match=rf"no volume.*vacuum=10, axis={missing}"):
        atoms.get_stress()
    atoms.center(vacuum=10, axis=axes)
    assert np.isfinite(atoms.get_stress()).all()


def test_a_third_vector_of_zero_is_refused_in_words():
    atoms = graphene()
    assert atoms.cell.rank == 2
    atoms.calc = KeelCalculator(keel.LennardJones(epsilon=0.05, sigma=1.3, cutoff=4.0))
    assert np.isfinite(atoms.get_forces()).all() and "stress" not in atoms.calc.results
    with pytest.raises(PropertyNotImplementedError, match=r"no volume.*atoms\.center\(vacuum=10, axis=2\)"):
        atoms.get_stress()
    assert bool(keel.LennardJones(cutoff=4.0)([frame_from_ase(atoms, "sheet")]).stress.isnan().all())
    atoms.center(vacuum=10, axis=2)
    assert np.isfinite(atoms.get_stress()).all()

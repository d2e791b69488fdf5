"""A structure that another program moves: its numbers are those of the potential, whatever has happened before."""

import copy
import pickle

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111

import keel
from keel.errors import ConfigError, DataError
from keel.interfaces.moving import Moving, opened
from keel.testing.engines import Apart, check_engine, differences


def network() -> keel.Potential:
    torch.manual_seed(0)
    return keel.CGCNN(["Cu"], preset="small", cutoff=4.5).double()


def arrays(atoms):
    return atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc


@pytest.mark.parametrize("potential", [network(), keel.EAM.from_elements(["Cu"], 4.5)], ids=["graph", "lists"])
class TestMoving:
    @pytest.mark.parametrize("atoms", [bulk("Cu", cubic=True), fcc111("Cu", (1, 1, 3), vacuum=4.0)], ids=str)
    def test_it_says_what_the_potential_says(self, potential, atoms):
        potential.set_offsets({29: -3.0})
        atoms.rattle(0.1, seed=1)
        found, truth = Moving(potential).evaluate(*arrays(atoms)), potential(atoms)
        np.testing.assert_allclose(found.energies, truth.atomic_energies, atol=1e-6)
        np.testing.assert_allclose(found.forces, truth.forces, atol=1e-5)
        if atoms.pbc.all():
            np.testing.assert_allclose(found.virial / atoms.get_volume(), truth.stress[0], atol=1e-6)

    def test_the_virial_of_what_has_no_volume_follows_from_its_forces(self, potential):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.1, seed=1)
        atoms.pbc, atoms.cell = False, None
        found = Moving(potential).evaluate(*arrays(atoms))
        np.testing.assert_allclose(found.virial, -atoms.positions.T @ found.forces, atol=1e-6)

    def test_a_walk_through_structures_and_cells_leaves_no_trace(self, potential):
        moving, rng = Moving(potential), np.random.default_rng(0)
        atoms = bulk("Cu", cubic=True)
        for step in range(6):
            atoms.positions += rng.normal(0, 0.2, atoms.positions.shape)
            if step == 3:
                atoms.set_cell(1.03 * atoms.cell, scale_atoms=True)
            if step == 4:
                atoms = atoms[:3]
            found, fresh = moving.evaluate(*arrays(atoms)), Moving(potential).evaluate(*arrays(atoms))
            for part, expected in zip(found, fresh, strict=True):
                np.testing.assert_allclose(part, expected, atol=1e-10)

    def test_results_do_not_change_with_the_arrays_of_the_caller(self, potential):
        atoms, moving = bulk("Cu", cubic=True), Moving(potential)
        atoms.rattle(0.1, seed=1)
        found = moving.evaluate(*arrays(atoms))
        before = found.forces.copy()
        atoms.positions += 0.3
        moving.evaluate(*arrays(atoms))
        np.testing.assert_array_equal(found.forces, before)

    def test_one_that_has_been_used_can_be_copied_and_pickled(self, potential):
        atoms, moving = bulk("Cu", cubic=True), Moving(potential)
        expected = moving.evaluate(*arrays(atoms)).energies
        for other in (copy.deepcopy(moving), pickle.loads(pickle.dumps(moving))):
            np.testing.assert_allclose(other.evaluate(*arrays(atoms)).energies, expected)


def test_an_unknown_element_is_refused():
    with pytest.raises(DataError, match="Ar"):
        Moving(network()).evaluate(*arrays(bulk("Ar", cubic=True)))


def test_opened_takes_names_and_objects(tmp_path):
    network().save(str(tmp_path / "a.safetensors"))
    assert opened(str(tmp_path / "a.safetensors"), "float32", None).dtype == torch.float32
    assert opened(keel.LennardJones(), "float32", None).dtype == torch.float32


def test_a_calculator_that_has_been_used_can_be_copied_and_pickled():
    atoms = bulk("Cu", cubic=True)
    atoms.calc = keel.KeelCalculator(network())
    energy = atoms.get_potential_energy()
    for other in (copy.deepcopy(atoms), pickle.loads(pickle.dumps(atoms))):
        other.calc.reset()
        assert other.get_potential_energy() == pytest.approx(energy)


class TestCheckEngine:
    def test_the_calculator_passes(self):
        check_engine("ASE", network())
        check_engine(
            "ASE",
            keel.SumPotential([network(), keel.ZBL(elements=["Cu"])]),
            Atoms("Cu2", positions=[[0, 0, 0], [2.2, 0, 0]]),
        )

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            (lambda n: n._replace(energy=n.energy + 1e-3), "periodic: energy differ by"),
            (lambda n: n._replace(forces=n.forces * np.nan), "periodic: forces differ by nan"),
            (lambda n: n._replace(stress=None if n.stress is None else n.stress + 1e-3), "periodic: stress differ by"),
        ],
    )
    def test_wrong_numbers_are_named(self, wrong, message):
        from keel.testing.engines import _by_keel

        truth = _by_keel(network(), None)
        with pytest.raises(AssertionError, match=message):
            check_engine(lambda frame: wrong(truth(frame)), network())

    def test_an_unknown_engine(self):
        with pytest.raises(ConfigError, match="choose from ASE, metatomic, LAMMPS"):
            check_engine("GULP", network())

    def test_differences_are_per_atom_beside_energies_without_offsets(self):
        from keel.testing.engines import _by_keel

        potential, frame = network(), keel.atoms.as_frame(bulk("Cu", cubic=True))
        potential.set_offsets({29: -1e4})
        truth = _by_keel(potential, None)
        found, largest = differences(lambda f: truth(f)._replace(energy=truth(f).energy + 4.0), potential, frame)
        assert found.energy == pytest.approx(1.0) and found.forces == found.stress == 0.0
        assert largest.energy < 100 and isinstance(largest, Apart)

"""Any potential file in any ASE script."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.lj import LennardJones as AseLennardJones
from ase.filters import FrechetCellFilter
from ase.mep import NEB
from ase.optimize import BFGS, FIRE

import keel
from keel.errors import ConfigError, DataError
from keel.interfaces.ase import KeelCalculator
from keel.potentials import LennardJones
from strains import work_of_strain


def crystal(a: float = 5.4) -> Atoms:
    atoms = bulk("Ar", "fcc", a=a, cubic=True)
    atoms.rattle(0.05, seed=0)
    return atoms


def network() -> keel.Potential:
    torch.manual_seed(0)
    return keel.CGCNN(elements=[18], cutoff=4.5).double()


@pytest.mark.parametrize("potential", [LennardJones(), network()])
def test_all_properties_agree_with_the_potential(potential):
    atoms = crystal()
    atoms.calc = KeelCalculator(potential)
    graph = keel.batch(
        keel.Frame(atoms.numbers, atoms.positions, np.array(atoms.cell), atoms.pbc), 9.0, dtype=torch.float64
    )
    truth = potential(graph)
    assert atoms.get_potential_energy() == pytest.approx(float(truth.energy[0]), abs=1e-10)
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    np.testing.assert_allclose(atoms.get_forces(), truth.forces, atol=1e-10)
    np.testing.assert_allclose(atoms.get_stress(voigt=False), truth.stress[0], atol=1e-12)
    assert atoms.get_potential_energies().sum() == pytest.approx(atoms.get_potential_energy())


@pytest.mark.parametrize("potential", [LennardJones(), network()])
def test_finite_differences(potential):
    atoms = crystal()
    atoms.calc = KeelCalculator(potential)
    forces, stress = atoms.get_forces(), atoms.get_stress()
    np.testing.assert_allclose(forces[1], numerical_force(atoms, 1), atol=1e-7)
    np.testing.assert_allclose(stress, numerical_stress(atoms), atol=1e-8)


def numerical_force(atoms: Atoms, index: int, step: float = 2e-4) -> np.ndarray:
    force = np.empty(3)
    for axis in range(3):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.calc = atoms.calc
            moved.positions[index, axis] += sign * step
            energies.append(moved.get_potential_energy())
        force[axis] = -(energies[0] - energies[1]) / (2 * step)
    return force


def numerical_stress(atoms: Atoms) -> np.ndarray:
    pairs = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
    return np.array([work_of_strain(atoms, atoms.calc, a, b) for a, b in pairs]) / atoms.get_volume()


def test_a_list_that_is_kept_gives_what_a_fresh_one_gives():
    """Any sequence of moves, strains, new elements, removed atoms and lost periodicity."""
    atoms, rng = crystal(), np.random.default_rng(0)
    atoms.calc = kept = KeelCalculator(LennardJones())
    for change in ("move", "move", "strain", "move", "wrap", "remove", "element", "pbc", "move"):
        if change == "move":
            atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
        elif change == "strain":
            atoms.set_cell(atoms.cell.array * 1.03, scale_atoms=True)
        elif change == "wrap":
            atoms.wrap()
        elif change == "remove":
            atoms = atoms[1:]
            atoms.calc = kept
        elif change == "element":
            atoms.numbers[0] = 36
        else:
            atoms.pbc = [True, True, False]
        fresh = atoms.copy()
        fresh.calc = KeelCalculator(LennardJones())
        np.testing.assert_allclose(atoms.get_forces(), fresh.get_forces(), atol=1e-12)
        assert atoms.get_potential_energy() == pytest.approx(fresh.get_potential_energy(), abs=1e-12)


def test_the_list_is_reused_between_small_moves():
    atoms = crystal()
    atoms.calc = calculator = KeelCalculator(LennardJones(), skin=0.5)
    for _ in range(5):
        atoms.positions[0, 0] += 0.01
        atoms.get_forces()
    first = calculator.moving._list
    assert first is not None and first.rebuilds == 0
    atoms.positions[0, 0] += 0.3
    atoms.get_forces()
    assert calculator.moving._list is first and first.rebuilds == 1


def test_the_cell_relaxes_to_the_minimum():
    """At the end stress and forces vanish, and no other lattice constant is better."""
    atoms = crystal(5.7)
    atoms.calc = KeelCalculator(LennardJones())
    assert BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-4, steps=200)
    assert np.abs(atoms.get_stress()).max() < 1e-5 and np.abs(atoms.get_forces()).max() < 1e-4
    energy = atoms.get_potential_energy()
    for scale in (0.995, 1.005):
        other = atoms.copy()
        other.calc = KeelCalculator(LennardJones())
        other.set_cell(atoms.cell.array * scale, scale_atoms=True)
        assert other.get_potential_energy() > energy


def test_a_vacancy_hops_over_a_barrier():
    start = bulk("Ar", "fcc", a=5.3, cubic=True).repeat(2)
    del start[0]
    end = start.copy()
    neighbour = int(np.argmin(np.linalg.norm(start.positions, axis=1)))
    end.positions[neighbour] = 0.0
    images = [start, *(start.copy() for _ in range(3)), end]
    for image in images:
        image.calc = KeelCalculator(LennardJones())
    band = NEB(images, method="improvedtangent")
    band.interpolate(mic=True)
    FIRE(band, logfile=None).run(fmax=0.02, steps=60)
    energies = [image.get_potential_energy() for image in images]
    assert energies[0] == pytest.approx(energies[-1], abs=1e-6)
    assert 0.005 < energies[2] - energies[0] < 0.5 and max(energies) == energies[2]


def test_against_ase():
    """ASE's Lennard-Jones is cut off elsewhere; inside the inner radius of the switch both are the pure potential."""
    cluster = Atoms("Ar4", positions=[[0, 0, 0], [3.8, 0, 0], [0, 3.9, 0], [0, 0, 3.7]])
    cluster.calc = KeelCalculator(LennardJones(cutoff=12.0))
    energy, forces = cluster.get_potential_energy(), cluster.get_forces()
    cluster.calc = AseLennardJones(epsilon=0.0104, sigma=3.4, rc=1e3)
    assert energy == pytest.approx(cluster.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(forces, cluster.get_forces(), atol=1e-9)


def test_molecules_have_no_stress():
    atoms = Atoms("Ar2", positions=[[0, 0, 0], [3.8, 0, 0]], cell=[20, 20, 20])
    atoms.calc = KeelCalculator(LennardJones())
    assert atoms.get_forces().shape == (2, 3)
    with pytest.raises(PropertyNotImplementedError, match="periodic in one direction at least"):
        atoms.get_stress()


def test_from_a_file_in_another_precision(tmp_path):
    path = tmp_path / "network.safetensors"
    network().save(path)
    atoms, results = crystal(), {}
    for dtype in ("float32", "float64"):
        atoms.calc = KeelCalculator(path, dtype=dtype, device="cpu")
        results[dtype] = atoms.get_forces()
    np.testing.assert_allclose(results["float32"], results["float64"], atol=1e-4)
    assert np.abs(results["float32"] - results["float64"]).max() > 0
    for wrong in ({"dtype": "float23"}, {"dtype": "int64"}, {"device": "nowhere"}):
        with pytest.raises(ConfigError, match=r"not a precision|cannot be used"):
            KeelCalculator(path, **wrong)
    with pytest.raises(DataError, match="no such file"):
        KeelCalculator(tmp_path / "absent.safetensors")


def test_a_structure_without_atoms_is_refused():
    atoms = Atoms()
    atoms.calc = KeelCalculator(network())
    with pytest.raises(DataError, match="the structure has no atoms"):
        atoms.get_potential_energy()


def test_unknown_elements_are_named():
    atoms = bulk("Cu")
    atoms.calc = KeelCalculator(network())
    with pytest.raises(DataError, match="knows Ar but the structures contain Cu"):
        atoms.get_potential_energy()


def eam() -> keel.EAM:
    potential = keel.EAM.from_elements(["Ar", "Kr"], cutoff=6.0)
    potential.set_offsets({18: -3.0, 36: -7.0})
    return potential


@pytest.mark.parametrize("pbc", [True, [True, False, True], False])
@pytest.mark.parametrize("potential", [eam(), keel.SumPotential([eam(), LennardJones(cutoff=5.0)], [0.5, 2.0])])
def test_without_a_graph_nothing_is_different(potential, pbc):
    atoms = crystal()
    atoms.numbers[1], atoms.pbc = 36, pbc
    atoms.calc = calculator = KeelCalculator(potential)
    frame = keel.Frame(atoms.numbers, atoms.positions, np.array(atoms.cell), atoms.pbc)
    truth = potential(keel.batch(frame, potential.cutoff, dtype=torch.float64))
    np.testing.assert_allclose(atoms.get_potential_energies(), truth.atomic_energies, atol=1e-8)
    np.testing.assert_allclose(atoms.get_forces(), truth.forces, atol=1e-6)
    assert ("stress" in calculator.results) is bool(np.any(pbc))
    if np.any(pbc):
        np.testing.assert_allclose(atoms.get_stress(voigt=False), truth.stress[0], atol=1e-8)


def test_parameters_that_have_changed_are_noticed():
    atoms, potential = crystal(), eam()
    atoms.calc = KeelCalculator(potential)
    before = atoms.get_forces()
    with torch.no_grad():
        potential.repulsion_log_change += 0.3
    atoms.calc.reset()
    fresh = KeelCalculator(potential)
    assert not np.allclose(atoms.get_forces(), before)
    np.testing.assert_allclose(atoms.get_forces(), fresh.get_forces(atoms), atol=1e-12)


def test_what_was_returned_is_not_overwritten():
    atoms = crystal()
    atoms.calc = KeelCalculator(eam())
    forces = atoms.get_forces()
    copy = forces.copy()
    atoms.rattle(0.1, seed=1)
    assert not np.allclose(atoms.get_forces(), copy)
    np.testing.assert_array_equal(forces, copy)


def test_what_is_not_finite_is_refused():
    atoms = Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 0]])
    atoms.calc = KeelCalculator(LennardJones())
    with pytest.raises(DataError, match=r"not finite \(NaN or infinity\); atoms may lie on each other"):
        atoms.get_potential_energy()


def test_ghosts_are_refused():
    atoms = Atoms("ArX", positions=[[0, 0, 0], [0, 0, 3]])
    atoms.calc = KeelCalculator(LennardJones())
    with pytest.raises(DataError, match="atom 1 is X, a dummy or ghost atom; remove it"):
        atoms.get_forces()


def test_a_device_that_is_none_is_told_what_there_is():
    with pytest.raises(ConfigError, match=r"the device 'gpu' cannot be used here \(PyTorch knows cpu, cuda and mps"):
        KeelCalculator(LennardJones(), device="gpu")

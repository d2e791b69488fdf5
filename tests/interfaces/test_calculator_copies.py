"""A calculator that has been used can be copied, pickled and sent to another process."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.emt import EMT

import keel
from keel.errors import ConfigError
from keel.interfaces.ase import KeelCalculator
from keel.potentials.convert import converted
from keel.potentials.external import ASEPotential
from small_potentials import cgcnn, eam, m3gnet, three_body, torchmd_et

COPIES: dict[str, Callable] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
}

POTENTIALS: dict[str, Callable[[], keel.Potential]] = {
    "Lennard-Jones": keel.LennardJones,
    "EAM": eam,
    "three-body": lambda: keel.SumPotential([eam(), three_body()]),
    "EAM and core": lambda: keel.SumPotential([eam(), keel.ZBL(elements=["O", "Si"])], [1.0, 0.5]),
    "CGCNN": cgcnn,
    "M3GNet": m3gnet,
    "transformer": torchmd_et,
    "transformer of another activation": lambda: torchmd_et(mode="reference", activation="ssp"),
    "network on walls": lambda: keel.SumPotential([cgcnn(), eam()]),
    "converted": lambda: converted(m3gnet(), "float64"),
}


def silica(seed: int = 0) -> Atoms:
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3) / 3.0
    cell = np.eye(3) * 7.5
    return Atoms("Si9O18", positions=(grid + rng.uniform(-0.05, 0.05, (27, 3))) @ cell, cell=cell, pbc=True)


def results(calculator: KeelCalculator, atoms: Atoms) -> np.ndarray:
    atoms = atoms.copy()
    atoms.calc = calculator
    return np.concatenate([[atoms.get_potential_energy()], atoms.get_forces().ravel(), atoms.get_stress()])


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", POTENTIALS)
def test_a_copy_of_a_used_calculator_gives_the_same_numbers(name, how):
    calculator = KeelCalculator(POTENTIALS[name]())
    before, elsewhere = results(calculator, silica()), results(calculator, silica(1))
    other = COPIES[how](calculator)
    np.testing.assert_array_equal(results(other, silica(1)), elsewhere)
    np.testing.assert_array_equal(results(other, silica()), before)
    np.testing.assert_array_equal(results(calculator, silica()), before)


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
@pytest.mark.parametrize("name", ["EAM", "EAM and core", "CGCNN"])
def test_copies_of_atoms_take_their_calculator_along_and_are_independent(name, how):
    atoms = silica()
    atoms.calc = KeelCalculator(POTENTIALS[name]())
    forces = atoms.get_forces().copy()
    other = COPIES[how](atoms)
    np.testing.assert_array_equal(other.calc.results["forces"], forces)
    with torch.no_grad():
        for parameter in other.calc.potential.parameters():
            parameter.add_(0.1)
    other.calc.reset()
    assert not np.allclose(other.get_forces(), forces)
    atoms.calc.reset()
    np.testing.assert_array_equal(atoms.get_forces(), forces)


def test_a_used_calculator_is_hardly_larger_than_a_new_one():
    calculator = KeelCalculator(eam())
    fresh = len(pickle.dumps(calculator))
    atoms = silica() * (3, 3, 3)
    atoms.calc = calculator
    atoms.get_forces()
    # The structure and its results, but not a list of some hundred neighbours of each atom.
    assert len(pickle.dumps(calculator)) < fresh + 300 * len(atoms)


@pytest.mark.parametrize("how", COPIES)
def test_around_a_calculator_of_another_package(how):
    copper = Atoms("Cu4", scaled_positions=[[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0.1]], cell=[3.6] * 3)
    copper.pbc = True
    named, given = ASEPotential("ase.calculators.emt.EMT", {"asap_cutoff": True}), ASEPotential(EMT())
    # A used EMT that ASE made cannot be pickled; that of a name is made again.
    potentials = [
        named,
        converted(named, "float32"),
        *([] if how == "pickle" else [given, converted(given, "float32")]),
    ]
    for potential in potentials:
        calculator = KeelCalculator(potential)
        before = results(calculator, copper)
        np.testing.assert_array_equal(results(COPIES[how](calculator), copper), before)


def energy(atoms: Atoms) -> float:
    return float(atoms.get_potential_energy())


def test_other_processes_take_atoms_with_their_calculator():
    atoms = silica()
    atoms.calc = KeelCalculator(eam())
    here = energy(atoms)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(energy, atoms).result() == here


def test_precision_under_the_name_that_other_calculators_have_for_it():
    assert KeelCalculator(cgcnn(), default_dtype="float64").potential.dtype == torch.float64
    assert KeelCalculator(cgcnn(), default_dtype="").potential.dtype == torch.float32
    assert KeelCalculator(cgcnn(), "cpu", torch.float64, default_dtype="float64").potential.dtype == torch.float64
    with pytest.raises(ConfigError, match="two names of the same argument"):
        KeelCalculator(cgcnn(), dtype="float32", default_dtype="float64")
    with pytest.raises(ConfigError, match="'float23' is not a precision"):
        KeelCalculator(cgcnn(), default_dtype="float23")

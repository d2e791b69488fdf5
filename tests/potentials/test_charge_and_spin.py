"""Calculators that look at charge and spin of a structure see those that the data state, through every door."""

import warnings

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes

import keel
from keel.atoms.graph import collate
from keel.atoms.labelling.stated import charge_and_spin
from keel.atoms.neighbours import graph_of
from keel.errors import KeelWarning
from keel.perturbation.labels import select_structures
from keel.potentials.external import ASEPotential


class Charged(Calculator):
    """10 eV for each elementary charge, 1 eV for the spin."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        energy = 10.0 * atoms.info.get("charge", 0) + atoms.info.get("spin", 0)
        self.results = {"energy": energy, "forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}


def copper(**info) -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.info.update(info)
    return atoms


SHORT = keel.MDSettings(temperature=10, length_fs=2, record_every=1)
POTENTIAL = ASEPotential(Charged())
STRUCTURES = [copper(), copper(charge=1), copper(charge=-1, spin=2), copper()]
ENERGIES = [0.0, 10.0, -8.0, 0.0]


def test_it_sees_them_though_the_positions_are_the_same():
    assert POTENTIAL(STRUCTURES).energy.tolist() == ENERGIES
    singly = [graph_of(frame, 5.0) for frame in keel.atoms.as_frames(STRUCTURES)]
    joined = collate(singly)
    assert POTENTIAL(joined).energy.tolist() == ENERGIES
    some = select_structures(joined.replace(labels=None), torch.tensor([False, True, False, True]))
    assert POTENTIAL(some).energy.tolist() == ENERGIES[1::2]
    plain = collate([singly[0], singly[3]])
    assert plain.states == () and POTENTIAL(plain).energy.tolist() == [0.0, 0.0]


def test_labels_in_a_file_are_those_of_the_charged(tmp_path):
    path = tmp_path / "charged.extxyz"
    frames = keel.atoms.as_frames(STRUCTURES)
    keel.write(path, [f.replace(energy=e, forces=np.zeros((4, 3))) for f, e in zip(frames, ENERGIES, strict=True)])
    assert keel.evaluate(POTENTIAL, path).energy.mae == pytest.approx(0.0, abs=1e-9)


def test_perturbed_structures_have_those_of_their_parents():
    children = list(keel.perturbation.perturb(STRUCTURES[1:3], POTENTIAL, {"rounds": 2}))
    assert {(f.info["charge"], f.energy) for f in children} == {(1, 10.0), (-1, -8.0)}


def test_what_moves_keeps_them():
    for atoms, energy in zip(STRUCTURES, ENERGIES, strict=True):
        (run,) = keel.dynamics.simulate(POTENTIAL, [atoms], SHORT)
        assert run.snapshots[-1].frame.energy == energy
    calculator = keel.KeelCalculator(POTENTIAL)
    for atoms, energy in zip(STRUCTURES, ENERGIES, strict=True):
        atoms = atoms.copy()
        atoms.calc = calculator
        calculator.reset()
        assert atoms.get_potential_energy() == energy


def test_of_several_cells_and_of_parts_none_is_known():
    (frame,) = keel.atoms.as_frames([copper(charge=1, name="a")])
    assert frame.repeated((2, 1, 1)).info == frame.taken(np.arange(2)).info == {"name": "a"}
    assert frame.repeated((1, 1, 1)).info == frame.taken(np.arange(4)[::-1]).info == {"charge": 1, "name": "a"}


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"charge": np.array([1]), "total_spin": np.float32(3)}, {"charge": 1, "total_spin": 3.0}),
        ({"charge": "+1", "spin": None, "magnetic_ordering": "FM", "spins": [1, 1]}, {}),
        ({"calc_charge": 1, "energy": 2.0, "functional": "PBE"}, {}),
    ],
)
def test_only_numbers_that_are_not_of_a_calculation(info, expected):
    assert charge_and_spin(info) == expected


@pytest.mark.parametrize("column", ["initial_magmoms", "initial_charges"])
def test_columns_that_are_not_passed_on_are_named(column):
    atoms = copper()
    atoms.set_array(column, np.ones(4))
    frames = [f.replace(energy=0.0) for f in keel.atoms.as_frames([atoms])]
    doors = [
        lambda potential: keel.evaluate(potential, frames),
        lambda potential: list(keel.perturbation.perturb(frames, potential, {"rounds": 1})),
        lambda potential: keel.dynamics.simulate(potential, frames, SHORT),
    ]
    for door in doors:
        with pytest.warns(KeelWarning, match=f"^{column} of the data are not passed on to the calculator"):
            door(POTENTIAL)
    with warnings.catch_warnings(action="error"):
        keel.evaluate(keel.LennardJones(cutoff=4.0), frames)

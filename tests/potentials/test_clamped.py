"""Below the contact of two elements a network feels a constant distance, and above it nothing changes."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

import keel
from keel.errors import ConfigError, DataError
from keel.potentials.classical.contact import CLAMPED_WITHIN
from keel.potentials.networks.clamped import ClampedNetwork
from keel.testing import check_potential

CONTACTS = {"Cl-Na": 2.5, "Na-Na": 3.3}
SALT = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
NETWORKS = [keel.CGCNN, keel.M3GNet, keel.TorchMDET]


def network(architecture: type = keel.CGCNN, cutoff: float = 4.5) -> keel.Network:
    torch.manual_seed(0)
    return architecture(elements=["Na", "Cl"], cutoff=cutoff, preset="small").double()


def crowded(seed: int = 0) -> Atoms:
    """Return salt with atoms above, within and below the bend of the contacts."""
    atoms = SALT.copy()
    atoms.rattle(0.5, seed=seed)
    return atoms


def apart(r: float, elements: str = "NaCl") -> Atoms:
    return Atoms(elements, positions=[[0, 0, 0], [r, 0, 0]])


@pytest.mark.parametrize("architecture", NETWORKS)
class TestEveryNetwork:
    def test_contract(self, architecture):
        check_potential(ClampedNetwork(network(architecture), CONTACTS))

    def test_above_the_contacts_it_is_the_network_to_the_last_digit(self, architecture):
        plain = network(architecture)
        ours, theirs = ClampedNetwork(plain, {"Cl-Na": 0.9, "Na-Na": 0.9})(crowded()), plain(crowded())
        for name in ("energy", "forces", "stress"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name))

    def test_far_below_one_it_does_not_see_how_close_atoms_are(self, architecture):
        clamped, plain = ClampedNetwork(network(architecture), CONTACTS), network(architecture)
        end = (1.0 - CLAMPED_WITHIN) * CONTACTS["Cl-Na"]
        for potential, constant in ((clamped, True), (plain, False)):
            found = [potential(apart(r)) for r in (0.3, 1.0, end - 1e-6)]
            energies = torch.cat([p.energy for p in found])
            assert (float(energies.max() - energies.min()) < 1e-12) == constant
            assert all(float(p.forces.abs().max()) < 1e-12 for p in found) == constant
        middle = CONTACTS["Cl-Na"] * (1.0 - CLAMPED_WITHIN / 2)
        assert float(clamped(apart(1.0)).energy) == pytest.approx(float(plain(apart(middle)).energy), abs=1e-12)

    def test_in_a_crowd_forces_are_slopes_of_the_energy(self, architecture):
        clamped, atoms, h = ClampedNetwork(network(architecture), CONTACTS), crowded(), 1e-4
        near = atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)]
        assert ((near > 2.0) & (near < 2.5)).any() and (near < 2.0).any()
        forces = clamped(atoms).forces.numpy()
        for atom, axis in ((0, 0), (3, 1), (7, 2)):
            ends = []
            for sign in (-1, 1):
                moved = atoms.copy()
                moved.positions[atom, axis] += sign * h
                ends.append(float(clamped(moved).energy))
            assert -(ends[1] - ends[0]) / (2 * h) == pytest.approx(
                forces[atom, axis], rel=1e-5, abs=1e-6 * np.abs(forces).max()
            )


def test_other_pairs_are_felt_as_they_are():
    clamped, plain = ClampedNetwork(network(), {"Na-Na": 3.3}), network()
    for r in (1.0, 2.0):
        assert torch.equal(clamped(apart(r, "Cl2")).forces, plain(apart(r, "Cl2")).forces)
        assert float(clamped(apart(r, "Na2")).forces.abs().max()) < 1e-12


def test_a_wall_that_is_added_is_all_that_is_felt_there():
    push = keel.ContactRepulsion({"Cl-Na": {"contact": 2.5, "push": 3.0}})
    potential = keel.SumPotential([ClampedNetwork(network(), CONTACTS), push.double()])
    forces = potential(apart(1.5)).forces
    assert forces[:, 0].tolist() == pytest.approx([-3.0, 3.0], abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_files(tmp_path, dtype):
    clamped = ClampedNetwork(network(), {"Na-Na": 3.3000000001, "Na-Cl": 2.1}).to(dtype)
    clamped.network.set_offsets({11: -400.25, 17: 3.0})
    clamped.save(str(tmp_path / "clamped.safetensors"))
    again = keel.load(tmp_path / "clamped.safetensors")
    assert again.config() == clamped.config() and again.config()["contacts"] == {"Na-Cl": 2.1, "Na-Na": 3.3000000001}
    assert torch.equal(again(crowded()).energy, clamped(crowded()).energy)
    assert torch.equal(again(crowded()).forces, clamped(crowded()).forces)
    config = clamped.config()
    with pytest.raises(DataError, match="only a network can be clamped, not a ZBL"):
        keel.potentials.loading.build("ClampedNetwork", config | {"network": {"potential": "ZBL", "config": {}}})


@pytest.mark.parametrize(
    ("contacts", "sentence"),
    [
        ({"Cl-Na": 0.0}, "the contact of Cl-Na must be positive"),
        ({"Cl-Na": -1.0}, "the contact of Cl-Na must be positive"),
        ({"Cl-Na": float("nan")}, "the contact of Cl-Na"),
        ({"Cl-Na": "near"}, "the contact of Cl-Na"),
        ({"Cl-Na": 4.5}, "the contact of Cl-Na, 4.5 angstrom, must be below the cutoff of the network, 4.5"),
        ({"Cl": 2.0}, "'Cl' is not a pair of elements such as 'O-Si'"),
        ({"Cl-K": 2.0}, "the contact of Cl-K: the network does not know K"),
        ({"Cl-Na": 2.0, "Na-Cl": 2.1}, "the contact of Na-Cl is given twice"),
        ({"Cl-Xx": 2.0}, "'Xx' is not a chemical element"),
    ],
)
def test_contacts_that_cannot_be(contacts, sentence):
    with pytest.raises(keel.KeelError, match=re.escape(sentence)):
        ClampedNetwork(network(), contacts)


@pytest.mark.parametrize("other", [keel.EAM.from_elements(["Na", "Cl"], 5.0), ClampedNetwork(network(), CONTACTS)])
def test_only_networks_are_clamped(other):
    with pytest.raises(ConfigError, match="only a network can be clamped, not a"):
        ClampedNetwork(other, CONTACTS)


def test_it_says_what_is_clamped_where():
    facts = ClampedNetwork(network(), CONTACTS).facts()
    assert facts["clamped at"] == "Na-Cl 2.5, Na-Na 3.3 angstrom"
    assert repr(ClampedNetwork(network(), CONTACTS)).startswith("clamped CGCNN(")


def test_pairs_that_are_closer_are_found():
    clamped = ClampedNetwork(network(), CONTACTS)
    atoms = Atoms("NaClNa", positions=[[0, 0, 0], [2.3, 0, 0], [0, 3.29, 0]])
    graph = keel.batch(atoms, 4.5, half_list=True, dtype=torch.float64)
    assert list(clamped.closer(graph)) == [("Na-Cl", pytest.approx(2.3))]


def test_angles_with_a_third_atom_still_act():
    """The limit of what clamping guarantees: a network with angles can turn a pair about a third atom."""
    atoms = Atoms("Na3", positions=[[0, 0, 0], [2.0, 0, 0], [0.4, 1.9, 0]])
    for architecture, none in ((keel.CGCNN, True), (keel.M3GNet, False), (keel.TorchMDET, False)):
        forces = ClampedNetwork(network(architecture), {"Na-Na": 3.3})(atoms).forces
        assert (float(forces.abs().max()) < 1e-12) == none


@pytest.mark.slow
def test_compiled_it_gives_the_same():
    clamped = ClampedNetwork(network().float(), CONTACTS)
    plain = clamped(crowded())
    with keel.potentials.compiling.compiled.compiling(clamped, True, 1e9):
        fast = clamped(crowded())
        assert clamped.network.compiled
    torch.testing.assert_close(fast.forces, plain.forces, rtol=1e-4, atol=1e-4 * float(plain.forces.abs().max()))

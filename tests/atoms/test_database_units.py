"""What the metadata of an ASE database say of the units of its rows, in the form of SchNetPack's databases.

The form is that of github.com/atomistic-machine-learning/schnetpack, src/schnetpack/data/atoms.py.
"""

import ase.db
import numpy as np
import pytest
from ase import Atoms

import keel
import outputs
from keel.atoms import units
from keel.atoms.record import LabelKeys
from keel.errors import DataError


def written(path, metadata, energy=1.0, forces=1.0, length=1.0):
    images = [frame.to_ase() for frame in outputs.frames(3)]
    with ase.db.connect(path) as database:
        for image in images:
            labels = {"energy": image.get_potential_energy() / energy, "forces": image.get_forces() / forces}
            plain = Atoms(image.numbers, image.positions / length, cell=image.cell / length, pbc=True)
            database.write(plain, data=labels)
        database.metadata = metadata
    return images


@pytest.mark.parametrize(
    ("energy", "forces", "distance"),
    [("Ha", "Ha/Bohr", "Ang"), ("kcal/mol", "kcal/mol/Ang", "Ang"), ("Hartree", "Hartree/Ang", "Bohr"), (1.0, 1, 1.0)],
)
def test_they_are_used(tmp_path, energy, forces, distance):
    metadata = {"_property_unit_dict": {"energy": energy, "forces": forces, "gap": "eV"}, "_distance_unit": distance}
    factors = [1.0] * 3
    if energy != 1:
        factors = [units.energy_factor(energy), units.force_factor(forces), units.length_factor(distance)]
    images = written(tmp_path / "a.db", metadata, *factors)
    for frame, image in zip(keel.read(tmp_path / "a.db"), images, strict=True):
        assert frame.energy == pytest.approx(image.get_potential_energy())
        np.testing.assert_allclose(frame.forces, image.get_forces(), atol=1e-9)
        np.testing.assert_allclose(frame.positions, image.positions, atol=1e-9)
        np.testing.assert_allclose(frame.cell, image.cell.array, atol=1e-9)


def test_the_user_knows_better(tmp_path):
    written(tmp_path / "a.db", {"_property_unit_dict": {"energy": "Ha", "forces": "Ha/Bohr"}})
    keys = LabelKeys(energy_unit="eV", forces_unit="eV/angstrom")
    assert keel.read(tmp_path / "a.db", keys=keys)[0].energy == pytest.approx(outputs.frames(1)[0].energy)


@pytest.mark.parametrize("metadata", [{"energy_unit": "e_h or so"}, {"units": {"energy": "atomic units"}}])
def test_what_is_not_understood_is_refused(tmp_path, metadata):
    written(tmp_path / "a.db", metadata)
    with pytest.raises(DataError, match=r"it says (energy_unit=|units: energy=)"):
        keel.read(tmp_path / "a.db")

"""Arrays of an archive that keel has no name for pass on, and meet the same rules as keys of other files."""

import numpy as np
import pytest

import keel
from keel.atoms.formats.npz import UNFIT
from keel.errors import DataError

FORCES = np.array([[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3], [0.4, 0.0, 0.0], [-0.4, 0.0, 0.0]])
CELL = np.broadcast_to(5.0 * np.eye(3), (2, 3, 3))


def read(tmp_path, cell=True, **arrays):
    """Read two frames of two atoms with these arrays beside the structure."""
    path = tmp_path / "set.npz"
    structure = {
        "n_atoms": np.array([2, 2]),
        "numbers": np.array([14, 8, 14, 8]),
        "positions": np.array([[0.0, 0, 0], [1.6, 0, 0]] * 2),
    }
    np.savez(path, **structure, **({"cell": CELL} if cell else {}), **arrays)
    return keel.read(path)


@pytest.mark.parametrize("said", [np.array("hartree"), np.array(["hartree"]), np.array(["hartree", "hartree"])])
def test_a_unit_is_refused_until_it_is_named(said, tmp_path):
    with pytest.raises(DataError, match="frame 0: it says energy_unit=hartree; name the units"):
        read(tmp_path, energy=np.array([1.0, 2.0]), energy_unit=said)


def test_labels_under_usual_names_are_labels(tmp_path):
    virial = np.array([np.diag([1.0, 2.0, 3.0]), np.diag([2.0, 3.0, 4.0])])
    frames = read(tmp_path, total_energy=np.array([1.0, 2.0]), force=FORCES, virial=virial)
    assert [f.energy for f in frames] == [1.0, 2.0]
    np.testing.assert_array_equal(np.concatenate([f.forces for f in frames]), FORCES)
    np.testing.assert_allclose(frames[1].stress, -virial[1] / 125.0)


def test_labels_under_similar_names_are_named(tmp_path):
    frames = read(tmp_path, etot=np.array([1.0, 2.0]), gradients=FORCES, stresses=CELL)
    for key in ("etot", "gradients", "stresses"):
        assert any(key in remark for remark in frames[0].remarks), key
    assert frames[1].info["etot"] == 2.0


def test_one_atom_in_each_frame(tmp_path):
    """Rows are then both of frames and of atoms."""
    path = tmp_path / "atoms.npz"
    one = {"n_atoms": np.array([1, 1]), "numbers": np.array([14, 8]), "positions": np.zeros((2, 3))}
    np.savez(path, **one, total_energy=np.array([1.0, 2.0]), force=FORCES[:2])
    frames = keel.read(path)
    assert [f.energy for f in frames] == [1.0, 2.0]
    np.testing.assert_array_equal(frames[1].forces, FORCES[1:2])


def test_what_fits_nothing_is_named(tmp_path):
    assert read(tmp_path, weights=np.arange(7))[0].remarks == (f"{UNFIT} (weights)",)


def test_a_cell_under_another_name_is_no_molecule(tmp_path):
    with pytest.raises(DataError, match=r"the array 'lattice' is not understood; name it cell"):
        read(tmp_path, cell=False, lattice=CELL)

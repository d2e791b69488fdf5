"""Layouts of other programs are named with the way out; M3GNet's lists of structures are read."""

import gzip
import json
import pickle

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

import keel
from keel.atoms.formats.rows import IN_KBAR, NOT_UNDERSTOOD
from keel.errors import DataError

R, Z = np.zeros((2, 4, 3)), np.full(4, 29)


def refused(path):
    with pytest.raises(DataError) as error:
        keel.read(path)
    return str(error.value)


ARCHIVES = {
    "NequIP": (
        {"R": R, "z": Z, "E": R[:, 0, 0], "F": R, "lattice": np.zeros((2, 3, 3)), "pbc": np.ones((2, 3), bool)},
        (
            "an archive of sGDML (MD17) or NequIP, with no units",
            "each R[k], E[k], F[k], lattice[k], pbc[k] with the",
        ),
    ),
    "sGDML": (
        {"R": R, "z": Z, "E": R[:, 0, 0], "F": R, "type": "d", "lattice": np.eye(3), "e_unit": "eV"},
        ("an archive of sGDML (MD17), with e_unit=eV, which", "each R[k], E[k], F[k], lattice with the elements z"),
    ),
    "rMD17": (
        {"coords": R, "nuclear_charges": Z, "energies": R[:, 0, 0], "forces": R},
        ("an archive of rMD17, in kcal/mol", "`--energy-unit kcal/mol --forces-unit kcal/mol/angstrom`"),
    ),
}


@pytest.mark.parametrize("whose", ARCHIVES)
def test_archives(tmp_path, whose):
    arrays, words = ARCHIVES[whose]
    np.savez(tmp_path / "a.npz", **arrays)
    assert all(said in refused(tmp_path / "a.npz") for said in words)


def test_an_archive_of_nobody(tmp_path):
    np.savez(tmp_path / "a.npz", x=R)
    assert "the archive has no n_atoms, numbers, positions" in refused(tmp_path / "a.npz")


GROUPS = {
    "ANI": (["gdb11_s01/gdb11_s01-0/coordinates", "gdb11_s01/gdb11_s01-0/species"], "--energy-unit hartree"),
    "ANI-1x": (["C1H4/atomic_numbers", "C1H4/coordinates", "C1H4/wb97x_dz.energy"], "--energy-unit hartree"),
    "DeePMD": (["set.000/coord.npy", "type.raw", "type_map.raw"], 'fmt="deepmd/hdf5"'),
    "DeePMD, many": (["water/set.000/coord.npy", "water/type.raw"], 'fmt="deepmd/hdf5"'),
    "MACE": (["config_batch_0/config_0/positions"], "give the extended XYZ from which"),
    "nobody": (["coordinates", "topology"], "it is not a trajectory"),
}


@pytest.mark.parametrize("whose", GROUPS)
def test_hdf5(tmp_path, whose):
    h5py = pytest.importorskip("h5py")
    paths, way = GROUPS[whose]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for path in paths:
            file[path] = np.zeros(3)
    message = refused(tmp_path / "a.h5")
    if whose == "nobody":
        assert "this HDF5 file is not a trajectory of keel: it has no group run_0" in message
    else:
        assert f"of {whose.partition(',')[0]}" in message.replace("what MACE", "of MACE") and way in message


@pytest.mark.parametrize("name", ["a.extxyz", "a.json", "a.traj", "a.db", "a.h5", "a.npz", "a.parquet", "a"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n",
            "a pointer of Git LFS.*git lfs pull",
        ),
        ("/annex/objects/MD5E-s123--abc\n", "a pointer of git-annex.*git annex get"),
        ("<!DOCTYPE html>\n<html>404</html>\n", "this is a web page, perhaps the error of a download"),
    ],
)
def test_what_is_not_the_file_itself(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=f"{name}: this is {said}" if "web" not in said else said):
        keel.read(tmp_path / name)


ROWS = {
    "jarvis": (
        {"jid": "JVASP-0", "atoms": {"lattice_mat": np.eye(3).tolist(), "elements": ["Cu"]}, "total_energy": 0.1},
        "an object of jarvis-tools, which keel does not read; write each jarvis.core.atoms.Atoms.from_dict",
    ),
    "pymatgen": (
        {"@class": "Trajectory", "species": [], "base_positions": None, "coords_are_displacement": False},
        "a Trajectory of pymatgen, which keel does not read; convert it with pymatgen: Trajectory.from_file(FILE)",
    ),
    "nobody": ({"foo": 1, "energy": 0.1}, "its columns are energy, foo, in which keel finds no structure"),
    "damaged": ({"structure": {"sites": 1}}, NOT_UNDERSTOOD),
}


@pytest.mark.parametrize("whose", ROWS)
@pytest.mark.parametrize("many", [False, True])
def test_rows(tmp_path, whose, many):
    row, words = ROWS[whose]
    (tmp_path / "a.json").write_text(json.dumps([row] if many else row))
    assert words in refused(tmp_path / "a.json") and "Error" not in refused(tmp_path / "a.json")


def of_pymatgen(atoms):
    sites = [
        {"species": [{"element": "Cu", "occu": 1}], "abc": s.tolist(), "xyz": p.tolist()}
        for s, p in zip(atoms.get_scaled_positions(), atoms.positions, strict=True)
    ]
    return {"@class": "Structure", "lattice": {"matrix": atoms.cell.tolist()}, "sites": sites}


@pytest.mark.parametrize("named", [False, True])
def test_lists_of_structures_and_labels(tmp_path, named):
    images = []
    for seed in range(3):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=seed)
        atoms.calc = EMT()
        images.append(atoms)
    columns = {
        "structure": [of_pymatgen(atoms) for atoms in images],
        "energy": [atoms.get_potential_energy() for atoms in images],
        "force": [atoms.get_forces().tolist() for atoms in images],
        "stress": [(-1602.1766208 * atoms.get_stress(voigt=False)).tolist() for atoms in images],
        "id": [7, 8, 9],
        "functional": "PBE",
    }
    (tmp_path / "a.json").write_text(json.dumps({"mp-1": columns} if named else columns))
    frames = keel.read(tmp_path / "a.json")
    for k, (frame, atoms) in enumerate(zip(frames, images, strict=True)):
        assert frame.source.endswith(f"frame mp-1/{k}" if named else f"frame {k}")
        assert frame.energy == pytest.approx(atoms.get_potential_energy())
        np.testing.assert_allclose(frame.forces, atoms.get_forces())
        np.testing.assert_allclose(frame.stress, atoms.get_stress(voigt=False), rtol=1e-6)
        assert frame.info["id"] == 7 + k and frame.info["functional"] == "PBE" and frame.remarks == (IN_KBAR,)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ["frames.pkl", "frames.pickle", "frames", "frames.pkl.gz"])
def test_pickles_are_not_opened(tmp_path, name, protocol):
    atoms = bulk("Cu")
    atoms.calc = SinglePointCalculator(atoms, energy=0.1)
    content = pickle.dumps([atoms], protocol=protocol)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    message = refused(tmp_path / name)
    assert "this is a pickle, which runs code when it is opened, so keel does not open it" in message
    assert "write the structures as .traj or extended XYZ" in message


def test_a_pickled_potential_is_called_a_potential(tmp_path):
    (tmp_path / "mace.model").write_bytes(pickle.dumps([1], protocol=2))
    assert "this is a potential, not structures" in refused(tmp_path / "mace.model")

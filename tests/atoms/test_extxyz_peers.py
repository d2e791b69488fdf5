"""What other packages write as extended XYZ is read to its printed digits, and they read what keel writes."""

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

import keel
from keel.atoms.frame import Frame
from keel.atoms.labelling.labelled import frame_from_ase

pytestmark = pytest.mark.oracle

LEFT_TO_THE_USER = {"ovito"}
"""Not among the extras for its size; tried where it is installed."""


def copper() -> Atoms:
    """A cell without symmetry with the labels of a potential."""
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell.array + np.array([[0, 0, 0], [0.1, 0, 0], [0.2, 0.3, 0]]), scale_atoms=True)
    atoms.rattle(0.1, seed=1)
    computed = atoms.copy()
    computed.calc = EMT()
    labels = {name: computed.calc.get_property(name, computed) for name in ("energy", "forces", "stress")}
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


@pytest.fixture
def package(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if find_spec(name) is None:
        if os.environ.get("CI") == "true" and name not in LEFT_TO_THE_USER:
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return name


def as_extxyz(frame: Frame) -> Any:
    from extxyz.core import Frame as Other

    info = {"empty": "", "energy": frame.energy, "stress": frame.stress, "quote": 'say "x"', "flags": [True, False]}
    arrays = {"species": np.array(["Cu"] * len(frame)), "pos": frame.positions, "forces": frame.forces}
    return Other(len(frame), frame.cell.T, frame.pbc, info, arrays)


def by_extxyz(path: Path, atoms: Atoms) -> None:
    import extxyz

    extxyz.write_dicts(str(path), as_extxyz(frame_from_ase(atoms)))


def by_extxyz_in_python(path: Path, atoms: Atoms) -> None:
    import extxyz

    extxyz.write_dicts(str(path), as_extxyz(frame_from_ase(atoms)), use_cextxyz=False)


def by_ase_extxyz(path: Path, atoms: Atoms) -> None:
    # It writes no results of calculators.
    atoms.info.update(config_type="", energy=atoms.get_potential_energy(), stress=atoms.get_stress(voigt=False))
    atoms.arrays["forces"] = atoms.get_forces()
    ase.io.write(path, atoms, format="cextxyz")


def by_ase(path: Path, atoms: Atoms) -> None:
    atoms.info.update(config_type="", flag=None, note='say "x"')
    ase.io.write(path, atoms, format="extxyz")


def by_calorine(path: Path, atoms: Atoms) -> None:
    from calorine.nep import write_structures

    write_structures(str(path), [atoms])


def by_dpdata(path: Path, atoms: Atoms) -> None:
    import dpdata

    dpdata.LabeledSystem(atoms, fmt="ase/structure").to("quip/gap/xyz", str(path))


def by_mdapy(path: Path, atoms: Atoms) -> None:
    import mdapy

    ase.io.write(path, atoms, format="extxyz")
    mdapy.System(str(path), format="xyz").write_xyz(str(path))


def by_chemfiles(path: Path, atoms: Atoms) -> None:
    import chemfiles

    frame = chemfiles.Frame()
    for symbol, position, force in zip(atoms.symbols, atoms.positions, atoms.get_forces(), strict=True):
        atom = chemfiles.Atom(symbol)
        atom["force"] = force.tolist()
        frame.add_atom(atom, position)
    frame.cell = chemfiles.UnitCell(atoms.cell.array.T)
    frame["energy"], frame["note"] = atoms.get_potential_energy(), "two words"
    with chemfiles.Trajectory(str(path), "w") as file:
        file.write(frame)


def by_ovito(path: Path, atoms: Atoms) -> None:
    from ovito.io import export_file
    from ovito.io.ase import ase_to_ovito
    from ovito.pipeline import Pipeline, StaticSource

    data = ase_to_ovito(atoms)
    data.particles_.create_property("Force", data=atoms.get_forces())
    columns = ["Particle Type", *(f"{name}.{x}" for name in ("Position", "Force") for x in "XYZ")]
    export_file(Pipeline(source=StaticSource(data=data)), str(path), "xyz", columns=columns)


WRITERS: list[tuple[str, Callable[[Path, Atoms], None], str, int]] = [
    ("ase", by_ase, "energy stress", 8),
    ("extxyz", by_extxyz, "energy stress", 8),
    ("extxyz", by_extxyz_in_python, "energy stress", 8),
    ("ase_extxyz", by_ase_extxyz, "energy stress", 8),
    ("calorine", by_calorine, "energy stress", 8),
    ("dpdata", by_dpdata, "energy stress", 9),
    ("mdapy", by_mdapy, "energy stress", 8),
    ("chemfiles", by_chemfiles, "energy", 4),
    ("ovito", by_ovito, "", 7),
]


@pytest.mark.parametrize(
    ("package", "write", "others", "digits"), WRITERS, indirect=["package"], ids=[w[1].__name__ for w in WRITERS]
)
def test_keel_reads_what_they_write(
    package: str, write: Callable[[Path, Atoms], None], others: str, digits: int, tmp_path: Path
) -> None:
    write(tmp_path / "a.xyz", copper())
    (frame,) = keel.read(tmp_path / "a.xyz")
    true = frame_from_ase(copper())
    assert frame.pbc.all() and frame.numbers.tolist() == true.numbers.tolist()
    for name in ("positions", "cell", "forces", *others.split()):
        found, wanted = getattr(frame, name), getattr(true, name)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=10.0**-digits, err_msg=name)
    for name in {"energy", "stress"} - set(others.split()):
        assert getattr(frame, name) is None


def of_ase(path: Path) -> dict[str, Any]:
    atoms = ase.io.read(path)
    return {"cell": atoms.cell.array, "energy": atoms.get_potential_energy(), "forces": atoms.calc.results["forces"]}


def of_extxyz(path: Path) -> dict[str, Any]:
    import extxyz

    for other in (extxyz.read_dicts(str(path), use_cextxyz=False), extxyz.read_dicts(str(path))):
        assert other.info["note"] == 'say "x", = and so on' and other.info["step"] == 7
    return {"cell": other.cell.T, "energy": other.info["energy"], "forces": other.arrays["forces"]}


def of_ase_extxyz(path: Path) -> dict[str, Any]:
    atoms = ase.io.read(path, format="cextxyz")
    return {"cell": atoms.cell.array, "energy": atoms.info["energy"], "forces": atoms.arrays["forces"]}


def of_chemfiles(path: Path) -> dict[str, Any]:
    import chemfiles

    with chemfiles.Trajectory(str(path)) as file:
        frame = file.read()
    forces = [atom["forces"] for atom in frame.atoms]
    return {"cell": np.array(frame.cell.matrix).T, "energy": float(frame["energy"]), "forces": forces}


def of_ovito(path: Path) -> dict[str, Any]:
    from ovito.io import import_file

    data = import_file(str(path)).compute()
    return {"cell": data.cell[:, :3].T, "energy": data.attributes["energy"], "forces": data.particles["Force"][...]}


READERS = {
    "ase": of_ase,
    "extxyz": of_extxyz,
    "ase_extxyz": of_ase_extxyz,
    "chemfiles": of_chemfiles,
    "ovito": of_ovito,
}


@pytest.mark.filterwarnings("ignore:Extended XYZ")  # chemfiles knows no escaped quotation marks
@pytest.mark.parametrize("package", READERS, indirect=True)
def test_they_read_what_keel_writes(package: str, tmp_path: Path) -> None:
    frame = frame_from_ase(copper())
    info = {"empty": "", "none": None, "flag": True, "matrix": [[1, 2], [3, 4]]}
    info |= {"note": 'say "x", = and so on', "step": 7}
    moving = {"masses": np.array([1.0, 2, 3, 4]), "velocities": frame.forces / 100, "forces_mask": np.eye(4)[0] > 0}
    keel.write(tmp_path / "a.xyz", frame.replace(info=info, fixed=np.eye(4, 3, dtype=bool), **moving))
    for name, values in READERS[package](tmp_path / "a.xyz").items():
        np.testing.assert_allclose(values, getattr(frame, name), rtol=1e-14, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("package", ["extxyz"], indirect=True)
def test_libextxyz_loses_the_cell_at_a_bare_key(package: str, tmp_path: Path) -> None:
    """Why it does not read for keel: it says nothing, as at empty values and at lattice in lower case."""
    import extxyz

    keel.write(tmp_path / "a.xyz", frame_from_ase(copper()).replace(forces=None))
    bare = (tmp_path / "a.xyz").read_text().replace("energy=", "flag energy=")
    (tmp_path / "b.xyz").write_text(bare)
    lost = extxyz.read_dicts(str(tmp_path / "b.xyz"))
    assert not lost.cell.any() and "energy" not in lost.info
    (kept,) = keel.read(tmp_path / "b.xyz")
    assert kept.cell.any() and kept.energy is not None

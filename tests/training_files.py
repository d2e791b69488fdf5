"""Frames with labels of ASE's EMT, and small writers of the formats in which other programs keep training data."""

import json
from functools import partial

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Bohr, GPa, Hartree

import keel
from keel.atoms.record import LabelKeys

KBAR = 0.1 * GPa


def labelled(atoms):
    """The same atoms with EMT's energy, forces and, where there is a cell, stress."""
    atoms.calc = EMT()
    labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    if atoms.pbc.all():
        labels["stress"] = atoms.get_stress()
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def crystals(count=3):
    """Frames of four atoms in cells without any symmetry: all six components of the stress differ."""
    images = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        atoms = bulk("Cu", cubic=True)
        atoms.symbols[1] = "Au"
        atoms.set_cell(atoms.cell @ (np.eye(3) + 0.05 * rng.normal(size=(3, 3))), scale_atoms=True)
        atoms.positions += 0.1 * rng.normal(size=(4, 3))
        images.append(labelled(atoms))
    return images


def molecules():
    """Two frames of water without a cell."""
    images = []
    for seed in range(2):
        atoms = molecule("H2O")
        atoms.positions += 0.05 * np.random.default_rng(seed).normal(size=(3, 3))
        images.append(labelled(atoms))
    return images


def virial(atoms):
    """-V times the stress in eV, shape (3, 3)."""
    return -atoms.get_volume() * atoms.get_stress(voigt=False)


def elements_of(images):
    """Symbols in the order in which they occur."""
    return list(dict.fromkeys(symbol for atoms in images for symbol in atoms.symbols))


def deepmd(folder, images, save=np.save, suffix="npy", inner="set.000"):
    """A system of DeePMD with ``type_map.raw``."""
    (folder / inner).mkdir(parents=True)
    elements = elements_of(images)
    types = [elements.index(symbol) for symbol in images[0].symbols]
    (folder / "type.raw").write_text("\n".join(map(str, types)))
    (folder / "type_map.raw").write_text("\n".join(elements))
    arrays = {"coord": [a.positions.ravel() for a in images]}
    arrays["energy"] = [a.get_potential_energy() for a in images]
    arrays["force"] = [a.get_forces().ravel() for a in images]
    if images[0].pbc.all():
        arrays |= {"box": [a.cell.array.ravel() for a in images], "virial": [virial(a).ravel() for a in images]}
    else:
        (folder / "nopbc").touch()
    for name, values in arrays.items():
        save(folder / inner / f"{name}.{suffix}", np.array(values))
    return folder


deepmd_raw = partial(deepmd, save=np.savetxt, suffix="raw", inner=".")
"""The same as text."""


def deepmd_mixed(folder, images):
    """The same with the types of each frame, and one atom too many that is none."""
    elements = elements_of(images)
    types = [[elements.index(s) for s in a.symbols] + [-1] for a in images]
    padded = [labelled_with(a, Atoms("X", positions=[[9.0, 9.0, 9.0]])) for a in images]
    deepmd(folder, padded)
    np.save(folder / "set.000" / "real_atom_types.npy", types)
    (folder / "type.raw").write_text("0\n" * len(types[0]))
    (folder / "type_map.raw").write_text("\n".join(elements))
    return folder


def labelled_with(atoms, more):
    """The atoms with others on which no force acts."""
    whole, results = atoms + more, dict(atoms.calc.results)
    results["forces"] = np.vstack([results["forces"], np.zeros((len(more), 3))])
    whole.calc = SinglePointCalculator(whole, **results)
    return whole


def mtp(path, images):
    """Configurations of MTP, with as many digits as there are."""
    elements, lines = elements_of(images), []
    for a in images:
        lines += ["BEGIN_CFG", " Size", f"  {len(a)}"]
        if a.pbc.all():
            lines += [" Supercell", *(_row(vector) for vector in a.cell)]
        lines.append(" AtomData:  id type cartes_x cartes_y cartes_z fx fy fz")
        for k, atom in enumerate(a):
            lines.append(f"  {k + 1} {elements.index(atom.symbol)} {_row([*atom.position, *a.get_forces()[k]])}")
        lines += [" Energy", f"  {float(a.get_potential_energy())!r}"]
        if a.pbc.all():
            v = virial(a)
            lines.append(" PlusStress:  xx yy zz yz xz xy")
            lines.append(_row([v[0, 0], v[1, 1], v[2, 2], v[1, 2], v[0, 2], v[0, 1]]))
        lines += [" Feature   EFS_by\tEMT", "END_CFG", ""]
    path.write_text("\n".join(lines))
    return path


def runner(path, images, length=1.0, energy=1.0):
    """``input.data`` in units of so many angstrom and eV."""
    lines = []
    for a in images:
        lines += ["begin", "comment of EMT"]
        lines += [f"lattice {_row(vector / length)}" for vector in a.cell] if a.pbc.all() else []
        for atom, force in zip(a, a.get_forces() * length / energy, strict=True):
            lines.append(f"atom {_row(atom.position / length)} {atom.symbol} 0.0 0.0 {_row(force)}")
        lines += [f"energy {float(a.get_potential_energy() / energy)!r}", "charge 0.0", "end"]
    path.write_text("\n".join(lines) + "\n")
    return path


runner_bohr = partial(runner, length=Bohr, energy=Hartree)
"""The same in bohr and hartree."""


def ml_ab(path, images):
    """VASP's ML_AB; atoms of an element stand together in it, so only such images come back in their order."""
    stars, double, single = "*" * 50, "=" * 50, "-" * 50
    lines = [" 1.0 Version", stars, "     The number of configurations", single, f"  {len(images)}"]
    for number, a in enumerate(images):
        stress = a.get_stress() / -KBAR
        counts = {s: list(a.symbols).count(s) for s in elements_of([a])}
        parts = {
            "System name": ["Cu and Au"],
            "The number of atoms": [str(len(a))],
            "Atom types and atom numbers": [f"{s} {n}" for s, n in counts.items()],
            "CTIFOR": ["0.002"],
            "Primitive lattice vectors (ang.)": map(_row, a.cell),
            "Atomic positions (ang.)": map(_row, a.positions),
            "Total energy (eV)": [repr(float(a.get_potential_energy()))],
            "Forces (eV ang.^-1)": map(_row, a.get_forces()),
            "Stress (kbar)": [
                "XX YY ZZ",
                single,
                _row(stress[:3]),
                single,
                "XY YZ ZX",
                single,
                _row(stress[[5, 3, 4]]),
            ],
        }
        lines += [stars, f"     Configuration num. {number + 1}"]
        for title, content in parts.items():
            lines += [single if title == "XY YZ ZX" else double, f"     {title}", single, *content]
    path.write_text("\n".join(lines) + "\n")
    return path


def pymatgen_structure(a):
    """A Structure or Molecule of pymatgen as an object."""
    fractions = a.get_scaled_positions(wrap=False) if a.pbc.all() else a.positions
    sites = [
        {"species": [{"element": s, "occu": 1}], ("abc" if a.pbc.all() else "xyz"): list(x)}
        for s, x in zip(a.symbols, fractions, strict=True)
    ]
    return {"sites": sites, **({"lattice": {"matrix": a.cell.tolist()}} if a.pbc.all() else {})}


def matpes_rows(images):
    """Records as MatPES has them, with VASP's order of six numbers."""
    return [
        {
            "matpes_id": f"m-{k}",
            "structure": pymatgen_structure(a),
            "energy": a.get_potential_energy(),
            "forces": a.get_forces().tolist(),
            "stress": (a.get_stress() / -KBAR)[[0, 1, 2, 5, 3, 4]].tolist() if a.pbc.all() else None,
        }
        for k, a in enumerate(images)
    ]


def matpes(path, images, rows=matpes_rows):
    """A list of them."""
    path.write_text(json.dumps(rows(images)))
    return path


def json_lines(path, images):
    """One of them in each line."""
    path.write_text("\n".join(map(json.dumps, matpes_rows(images))))
    return path


def mptrj(path, images):
    """MPtrj's object of materials."""
    frames = {
        f"mp-1-0-{k}": {
            "structure": pymatgen_structure(a),
            "uncorrected_total_energy": a.get_potential_energy(),
            "corrected_total_energy": a.get_potential_energy() - 1.0,
            "force": a.get_forces().tolist(),
            "stress": (a.get_stress(voigt=False) / -KBAR).tolist() if a.pbc.all() else None,
        }
        for k, a in enumerate(images)
    }
    path.write_text(json.dumps({"mp-1": frames}))
    return path


def plain_rows(images):
    """Rows of plain columns in eV and angstrom."""
    return [
        {
            "atomic_numbers": a.numbers.tolist(),
            "positions": a.positions.tolist(),
            "cell": a.cell.tolist(),
            "pbc": a.pbc.tolist(),
            "energy": a.get_potential_energy(),
            "forces": a.get_forces().tolist(),
            "stress": a.get_stress().tolist() if a.pbc.all() else None,
        }
        for a in images
    ]


columns = partial(matpes, rows=plain_rows)
"""The same as JSON."""


def parquet(path, images):
    """The same as parquet."""
    return write_parquet(path, plain_rows(images))


def write_parquet(path, rows):
    """Rows as parquet."""
    import pyarrow
    from pyarrow.parquet import write_table

    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def aselmdb(path, images):
    """ASE's LMDB, with fairchem's data beside each row."""
    from ase_db_backends.aselmdb import LMDBDatabase

    path.parent.mkdir(parents=True, exist_ok=True)
    with LMDBDatabase(path, use_lock_file=False) as database:
        for k, a in enumerate(images):
            database.write(a, data={"sid": f"s-{k}"})
    return path


def _row(values):
    return " ".join(repr(float(v)) for v in values)


def by_element(atoms):
    """The atoms in the order of ML_AB."""
    return labelled(atoms[np.argsort(atoms.numbers, kind="stable")])


def read_as(path, images):
    """The frames of a file; the elements of types without names are those of the images."""
    return keel.read(path, keys=LabelKeys(elements=tuple(elements_of(images))), require=["energy", "forces"])


def assert_same(frames, images, folder, digits=1e-7, stress=True):
    """Compare with the same frames in extended XYZ, and the stress with what EMT says of it."""
    ase.io.write(folder / "same.extxyz", images, format="extxyz")
    for frame, other, atoms in zip(frames, keel.read(folder / "same.extxyz"), images, strict=True):
        np.testing.assert_array_equal(frame.numbers, other.numbers)
        np.testing.assert_array_equal(frame.pbc, other.pbc)
        assert frame.energy == pytest.approx(other.energy, abs=digits)
        for name in ("positions", "forces", "cell"):
            np.testing.assert_allclose(getattr(frame, name), getattr(other, name), atol=digits, rtol=0)
        assert (frame.stress is not None) == (stress and atoms.pbc.all())
        if frame.stress is not None:
            np.testing.assert_allclose(frame.stress, other.stress, atol=digits, rtol=0)
            np.testing.assert_allclose(frame.stress, atoms.get_stress(voigt=False), atol=digits, rtol=0)

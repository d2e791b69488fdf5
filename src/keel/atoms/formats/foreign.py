"""Layouts of other programs in containers that keel reads: archives of numpy, HDF5 and JSON, known by their names.

Their units are not in the files, so that they are named with the way out instead of read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

HARTREE = "--energy-unit hartree --forces-unit hartree/angstrom"
KCAL = "--energy-unit kcal/mol --forces-unit kcal/mol/angstrom"
ANI = (
    "write each row of the coordinates with the species, and its energy and forces, as extended XYZ, and read that "
    f"with `{HARTREE}`"
)
IN_HDF5: tuple[tuple[str, frozenset[str], str], ...] = (
    ("a data set of ANI, whose energies are in hartree", frozenset({"coordinates", "species"}), ANI),
    ("a data set of ANI-1x, whose energies are in hartree", frozenset({"coordinates", "atomic_numbers"}), ANI),
    (
        "a system of DeePMD",
        frozenset({"type.raw"}),
        'convert it with dpdata: dpdata.LabeledSystem(FILE, fmt="deepmd/hdf5").to("deepmd/npy", FOLDER), and give the '
        "folder",
    ),
    (
        "what MACE made of its training data",
        frozenset({"config_batch_0"}),
        "give the extended XYZ from which mace_prepare_data made it",
    ),
)
"""What a file is, names that one of its groups has, and what to do."""
IN_ROWS: tuple[tuple[str, frozenset[str], str], ...] = (
    (
        "an object of jarvis-tools",
        frozenset({"atoms", "jid"}),
        'write each jarvis.core.atoms.Atoms.from_dict(row["atoms"]).ase_converter() with its labels as extended XYZ; '
        "energies for ALIGNN-FF are those of one atom (`--energy-unit eV/atom`)",
    ),
    (
        "a data set of FitSNAP",
        frozenset({"AtomTypeStyle", "Data"}),
        "write each Positions, AtomTypes, Lattice, Energy and Forces of its Data as extended XYZ; the unit of Stress "
        "is its StressStyle, the sign that of a pressure",
    ),
    (
        "a result of QCEngine (QCSchema), in hartree and bohr",
        frozenset({"molecule", "driver"}),
        'write ase.Atoms(molecule["symbols"], molecule["geometry"]) with its energy and gradient as extended XYZ, and '
        "read that with `--length-unit bohr --energy-unit hartree --forces-unit=-hartree/bohr`",
    ),
    (
        "a Trajectory of pymatgen",
        frozenset({"base_positions", "coords_are_displacement"}),
        'convert it with pymatgen: Trajectory.from_file(FILE).to_ase(ase_traj_file="train.traj")',
    ),
)


def in_archive(data: Mapping[str, Any]) -> str | None:
    """Say whose archive this is and what to do, if its arrays are those of rMD17, sGDML or NequIP."""
    if {"nuclear_charges", "coords"} <= data.keys():
        return (
            "this is an archive of rMD17, in kcal/mol and angstrom, which keel does not read; write each coords[k], "
            f"energies[k] and forces[k] with the elements nuclear_charges as extended XYZ, and read that with `{KCAL}`"
        )
    if not {"R", "z"} <= data.keys():
        return None
    stated = ", ".join(f"{name}={data[name]}" for name in ("e_unit", "r_unit") if name in data)
    whose = "sGDML (MD17)" if stated or {"type", "md5", "theory"} & data.keys() else "sGDML (MD17) or NequIP"
    frames = len(np.atleast_1d(data["R"]))
    named = [name for name in ("R", "E", "F", "lattice", "cell", "pbc") if name in data]
    rows = [f"{name}[k]" if np.shape(data[name])[:1] == (frames,) else name for name in named]
    return (
        f"this is an archive of {whose}, with {stated or 'no units'}, which keel does not read; write each "
        f"{', '.join(rows)} with the elements z as extended XYZ, and read that with --energy-unit and --forces-unit"
    )


def in_hdf5(levels: Iterable[Iterable[str]]) -> str | None:
    """Say whose HDF5 this is and what to do, from the names in its first groups, from the outermost inwards."""
    for names in map(frozenset, levels):
        for whose, known, instead in IN_HDF5:
            if known <= names:
                return f"this is {whose}, which keel does not read; {instead}"
    return None


def in_rows(columns: Iterable[str]) -> str | None:
    """Say whose rows these are and what to do."""
    names = frozenset(columns)
    found = ((whose, instead) for whose, known, instead in IN_ROWS if known <= names)
    return next((f"this is {whose}, which keel does not read; {instead}" for whose, instead in found), None)

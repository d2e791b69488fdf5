"""Files of this field that are recognised by their content but not read: messages name them and what to do.

ASE uses names: it reads every unknown ``.out`` as Quantum ESPRESSO, every ``.log`` Gaussian, and a LAMMPS data file or
a binary dump gives structures without labels or with guessed columns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from keel.atoms.formats.compression import opened
from keel.errors import DataError
from keel.kinds import PICKLED_SUFFIXES

BEGINNING = 50_000
"""Number of bytes from which a file is recognised."""


@dataclass(frozen=True)
class Unread:
    """A kind of files that is recognised: what it is, what its beginning holds, and what to give instead."""

    name: str
    begins: bytes
    instead: str


def _by_dpdata(code: str, pattern: bytes, kind: str) -> Unread:
    return Unread(
        f"an output of {code}",
        pattern,
        f'convert it with dpdata: dpdata.LabeledSystem(FILE, fmt="{kind}").to("quip/gap/xyz", "train.extxyz")',
    )


def _by_calculator(code: str, pattern: bytes) -> Unread:
    return Unread(
        f"an output of {code}",
        pattern,
        "run the structures through a calculator of ASE for this program and write them as extxyz or .traj",
    )


UNREAD: tuple[Unread, ...] = (
    Unread(
        "an output of CP2K",
        rb"(?m)^ (?:CP2K\||DBCSR\| )",
        "for energies give the trajectory PROJECT-pos-1.xyz with --energy-key E --energy-unit hartree; for forces and "
        'the cell too, convert the folder with dpdata: dpdata.LabeledSystem(FOLDER, fmt="cp2k/aimd_output")'
        '.to("quip/gap/xyz", "train.extxyz")',
    ),
    Unread(
        "an output of xtb",
        rb"\|\s+x T B\s+\|",
        "give the file `gradient` that `xtb --grad` writes, or run the structures through tblite's calculator and "
        "write them as extxyz",
    ),
    Unread(
        "an output of ABINIT",
        rb"(?m)^\.Version\s+\S+\s+of ABINIT",
        "give the file ..._GSR.nc of the same run, which is read (it needs `pip install netCDF4`)",
    ),
    _by_calculator("MOPAC", rb"\*\*\s+MOPAC|MOPAC20\d\d|MOPAC v\d"),
    _by_dpdata("DFTB+", rb"\|\s+DFTB\+ release", "dftbplus"),
    _by_dpdata("SIESTA", rb"(?m)WELCOME TO SIESTA|^Siesta Version", "siesta/output"),
    _by_dpdata("Psi4", rb"Psi4: An Open-Source Ab Initio", "psi4/out"),
    _by_dpdata("ABACUS", rb"WELCOME TO ABACUS|Atomic-orbital Based Ab-initio", "abacus/scf"),
    _by_calculator("Q-Chem", rb"Welcome to Q-Chem"),
    _by_calculator("Molpro", rb"PROGRAM SYSTEM MOLPRO"),
    Unread(
        "a log of LAMMPS",
        rb"\ALAMMPS \(",
        "it contains no positions; give a dump with the columns id element x y z fx fy fz",
    ),
    Unread(
        "a YAML dump of LAMMPS",
        rb"\A---\s*\ncreator: LAMMPS",
        "write it with `dump custom ... id element x y z fx fy fz` and `dump_modify ... element ... units yes`",
    ),
    Unread(
        "a data file of LAMMPS",
        rb"(?m)\A[^\n]*\n(?:[^\n]*\n){0,5}\s*\d+\s+atoms\b[^\n]*\n(?:[^\n]*\n){0,12}?\s*\d+\s+atom types\b",
        "it contains a structure without energies or forces; run it and give the dump (`dump custom ... id element x y "
        "z "
        'fx fy fz`), or convert the structure with ase.io.read(FILE, format="lammps-data")',
    ),
)
"""Kinds of files that ASE would mistake for something else."""

BINARY_DUMP = (
    "a binary dump of LAMMPS does not say which columns it has; write it as text with `dump custom ... id element x y "
    "z fx fy fz`"
)


PICKLE = re.compile(rb"\x80[\x02-\x05]")
"""Beginning of what pickle's protocols 2 to 5 write."""
OF_PYTHON = (
    "this is a pickle, which runs code when it is opened, so keel does not open it; open it where it was made and "
    "write the structures as .traj or extended XYZ"
)


def refuse_unread(path: Path) -> None:
    """Refuse a file whose kind is known but not read.

    Raises
    ------
    DataError
        If it is one, with what to give instead.
    """
    if path.suffix.lower() == ".bin":
        raise DataError(f"{path}: {BINARY_DUMP}")
    with opened(path) as stream:
        start = stream.read(BEGINNING)
    if PICKLE.match(start) and path.suffix not in PICKLED_SUFFIXES:
        raise DataError(f"{path}: {OF_PYTHON}")
    for kind in UNREAD:
        if re.search(kind.begins, start):
            raise DataError(f"{path}: this is {kind.name}, which keel does not read; {kind.instead}")

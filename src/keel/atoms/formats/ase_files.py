"""Any format that ASE reads; files that it mistakes for another format, or without labels, are refused by name."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import units
from ase.units import Hartree

from keel.atoms.formats.aims import first_cell, of_dynamics
from keel.atoms.formats.compression import opened, opened_text
from keel.atoms.formats.gaussian import Positions, in_input_orientation, without_rotated_forces
from keel.atoms.formats.orca import as_ase_reads
from keel.atoms.formats.unconverged import PROGRAMS, record_of_scf, without_notes
from keel.atoms.formats.unread import refuse_unread
from keel.atoms.frame import Array
from keel.atoms.labelling.labelled import record_of_ase
from keel.atoms.record import LabelKeys, PendingFrame, Record
from keel.errors import DataError, naming
from keel.kinds import KEEL_SUFFIXES, PICKLED_SUFFIXES, readable

if TYPE_CHECKING:
    from ase import Atoms

AENET = re.compile(rb"\s*#\s*total energy\s*=\s*([-+0-9.eEdD]+)\s*eV", re.IGNORECASE)
"""The first line of an XSF file for training aenet, whose energies are in eV and forces in eV/angstrom."""
ENTHALPY = "an enthalpy under pressure, as AIRSS writes it: not used as energy"
NOT_READ = {
    "turbomole": r"(?mi)^\$periodic\s+[123]|^\$coord\s+(?:angs|frac)",
    "cp2k-restart": r"(?mi)^\s*PERIODIC\s+(?!XYZ\b)\w+",
}
"""What files state of their periodicity and their unit that ASE 3.29 does not read: clusters in bohr, and crystals."""
ATOMIC = LabelKeys(energy_unit="hartree", forces_unit="hartree/bohr", length_unit="bohr")
SEVERAL_OF_GAMESS = (
    "this output of GAMESS has several structures, of which ASE combines the positions of the first with the results "
    "of the last; give outputs of single structures"
)
OF_QBOX = "an output of Qbox, read in hartree and bohr; its stress and velocities are not used"
PERIODIC = ("eon", "sys", "onetep-out", "nwchem-out")
"""Formats of codes whose cells are periodic (EON, Qb@ll, ONETEP, NWChem), and which ASE 3.29 reads as clusters."""


def ase_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the frames of any file that ASE reads.

    Raises
    ------
    DataError
        If ASE does not know the format, takes it for another, or finds the file damaged or without frames.
    """
    import ase.io
    from ase.io.formats import filetype, ioformats

    refuse_unread(path)
    kind = guarded(lambda: filetype(str(path)), path)
    record: Callable[[Atoms, str], Record] = record_of_ase
    given: str | io.StringIO = str(path)
    if program := PROGRAMS.get(kind):
        with opened_text(path) as stream:
            text = stream.read()
        if kind == "orca-output":
            with naming(str(path)):
                text = as_ase_reads(text)
        if ioformats[kind].acceptsfd:
            given = io.StringIO(without_notes(text))
        lines = text.splitlines()
        record = partial(record_of_scf, program, program.failures(lines))
        if kind == "gamess-us-out" and sum(map(program.is_energy, lines)) > 1:
            raise DataError(f"{path}: {SEVERAL_OF_GAMESS}")
        if kind == "gaussian-out":
            record = partial(_record_of_gaussian, in_input_orientation(lines), record)
        if kind == "aims-output":
            record = partial(_record_of_aims, first_cell(text), record)
    record = OTHERWISE.get(kind, record)
    if kind in PERIODIC:
        record = partial(_record_of_crystal, record)
    if kind in NOT_READ:
        with opened_text(path) as stream:
            if stated := re.search(NOT_READ[kind], stream.read()):
                said = " ".join(stated[0].split())
                raise DataError(f"{path}: it says {said!r}, which ASE does not read; convert it to extxyz, with pbc")
    images = guarded(lambda: ase.io.iread(given, index=":", format=kind), path)
    if kind == "xsf" and (energy := guarded(lambda: _energy_of_aenet(path), path)) is not None:
        record = partial(_record_of_aenet, energy)
    found = pending_images(images, path, record)
    first = next(found, None)
    if first is None:
        form = ioformats.get(kind)
        taken = kind if form is None else form.description
        if form is not None and not form.magic and form.magic_regex is None:
            raise DataError(f"{path}: it contains no structures; only by its name ASE would take it for {taken!r}")
        raise DataError(
            f"{path}: ASE reads it as {taken!r} and finds no frames; if it is from another program, convert it to "
            "extxyz"
        )
    yield first
    yield from found


def pending_images(
    images: Iterable[Atoms], path: Path, record: Callable[[Atoms, str], Record] = record_of_ase
) -> Iterator[PendingFrame]:
    """Yield a frame for each image that one of ASE's readers yields."""
    waiting, index = iter(images), 0
    while True:
        atoms = guarded(lambda: next(waiting, None), path)
        if atoms is None:
            return
        source = f"{path}, frame {index}"
        yield PendingFrame(source, partial(record, atoms, source))
        index += 1


def _energy_of_aenet(path: Path) -> float | None:
    """Return the energy in eV from the first line of a training file of aenet; None for XCrySDen's own files."""
    with opened(path) as file:
        found = AENET.match(file.readline(200))
    # Fortran may write the exponent as D.
    return None if found is None else float(found[1].upper().replace(b"D", b"E"))


def _record_of_aenet(energy: float, atoms: Atoms, source: str) -> Record:
    """Return what a training file of aenet says: its forces are in eV/angstrom, and ASE takes them for hartree."""
    record = record_of_ase(atoms, source)
    arrays = {name: values / Hartree if name == "forces" else values for name, values in record.arrays.items()}
    return replace(record, info={**record.info, "energy": energy}, arrays=arrays)


def _record_of_gaussian(
    given: frozenset[Positions], record: Callable[[Atoms, str], Record], atoms: Atoms, source: str
) -> Record:
    """Return what an output of Gaussian says, without forces in another orientation than its positions."""
    return without_rotated_forces(record(atoms, source), given)


def _record_of_aims(cell: Array, record: Callable[[Atoms, str], Record], atoms: Atoms, source: str) -> Record:
    """Return what an output of FHI-aims says, see :mod:`keel.atoms.formats.aims`."""
    return of_dynamics(record(atoms, source), cell)


def _record_of_airss(atoms: Atoms, source: str) -> Record:
    """Return what a file of AIRSS says: the number that ASE takes for its energy is the enthalpy."""
    record = record_of_ase(atoms, source)
    if not record.info.get("pressure"):
        return record
    info = {key: value for key, value in record.info.items() if key != "energy"}
    return replace(record, info=info, remarks=(*record.remarks, ENTHALPY))


def _record_of_dl_poly(atoms: Atoms, source: str) -> Record:
    """Return what a file of DL_POLY says: ASE 3.29 returns its forces and velocities in atomic units."""
    record = record_of_ase(atoms, source)
    factors = {"forces": units.Hartree / units.Bohr, "momenta": units._auv * units.m / units.s}
    moved = {name: record.arrays[name] * factor for name, factor in factors.items() if name in record.arrays}
    return replace(record, arrays={**record.arrays, **moved})


def _record_of_qbox(atoms: Atoms, source: str) -> Record:
    """Return what an output of Qbox says, which is in atomic units, of which ASE 3.29 converts none."""
    record = record_of_ase(atoms, source)
    info = {name: value for name, value in record.info.items() if name != "stress"}
    arrays = {name: values for name, values in record.arrays.items() if name != "momenta"}
    return replace(record, info=info, arrays=arrays, usual=ATOMIC, remarks=(*record.remarks, OF_QBOX))


OTHERWISE: Mapping[str, Callable[[Atoms, str], Record]] = MappingProxyType(
    {
        "res": _record_of_airss,
        "dlp4": _record_of_dl_poly,
        "dlp-history": _record_of_dl_poly,
        "qbox": _record_of_qbox,
    }
)
"""What files say, by ASE's names of their formats, where its readers say something else."""


def _record_of_crystal(record: Callable[[Atoms, str], Record], atoms: Atoms, source: str) -> Record:
    """Return what a file of a code says whose cells, where there are any, are periodic."""
    found = record(atoms, source)
    return replace(found, pbc=np.full(3, found.cell.any()))


def broken_frame(source: str, reason: str) -> PendingFrame:
    """Return a frame that a file should contain but does not."""

    def record() -> Record:
        raise DataError(f"{source}: {reason}")

    return PendingFrame(source, record)


def guarded(call: Callable[[], Any], source: Path | str) -> Any:
    """Turn any exception of ASE's readers into one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call()
    except DataError:
        raise
    except Exception as error:
        if Path(source).suffix in (".yaml", ".yml"):
            said = (
                "this is YAML, in which keel finds no structures; a configuration of keel is for `keel run`, "
                "structures of other programs need to be converted to extxyz"
            )
            raise DataError(f"{source}: {said}") from None
        if Path(source).suffix in (KEEL_SUFFIXES[0], *PICKLED_SUFFIXES):
            said = "this is a potential, not structures; perhaps two arguments are in the wrong order"
            raise DataError(f"{source}: {said}") from None
        if type(error).__name__ == "UnknownFileTypeError":
            raise DataError(f"{source}: its format is unknown; convert it to extxyz; keel reads {readable()}") from None
        reason = (str(error).strip().splitlines() or [""])[0][:100]
        detail = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
        raise DataError(f"{source}: ASE cannot read it ({detail}); check the file or convert it to extxyz") from None

"""CASTEP's output, with the dispersion correction that its forces include.

ASE 3.29 stores the corrected energies under a name that it does not use again, and returns uncorrected energies with
corrected forces. See https://www.castep.org.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from keel.atoms.formats.ase_files import guarded, pending_images
from keel.atoms.formats.compression import opened_text
from keel.atoms.formats.unconverged import PROGRAMS, record_of_scf
from keel.atoms.record import PendingFrame, Record

if TYPE_CHECKING:
    from ase import Atoms

PROGRAM = PROGRAMS["castep-castep"]
CORRECTED = "{}_with_dispersion_correlation"
"""ASE's names of the corrected energies."""


def castep_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the frames of the last run in a ``.castep`` file.

    Raises
    ------
    DataError
        If ASE finds the file damaged or without a regular end.
    """
    from ase.io.castep.castep_reader import read_castep_castep

    with opened_text(path) as stream:
        failures = PROGRAM.failures(stream)
        stream.seek(0)
        images = guarded(lambda: read_castep_castep(stream, slice(None)), path)
    yield from pending_images(images, path, partial(_record, failures))


def _record(failures: frozenset[float], atoms: Atoms, source: str) -> Record:
    record = record_of_scf(PROGRAM, failures, atoms, source)
    energy, free, zero = (record.info.get(CORRECTED.format(n)) for n in ("energy", "free_energy", "energy_zero"))
    if energy is not None:
        record.info |= {"energy": zero if free is not None and zero is not None else energy}
        record.info |= {"free_energy": energy if free is None else free}
    return record

"""CASTEP's output, with the dispersion correction that its forces include, and its trajectories ``.md`` and ``.geom``.

ASE 3.29 stores the corrected energies under a name that it does not use again, and returns uncorrected energies with
corrected forces; and it silently drops a last step that was cut off. See https://www.castep.org.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from keel.atoms.formats.ase_files import broken_frame, guarded, pending_images
from keel.atoms.formats.compression import opened_text
from keel.atoms.formats.unconverged import PROGRAMS, record_of_scf
from keel.atoms.labelling.labelled import record_of_ase
from keel.atoms.record import PendingFrame, Record
from keel.errors import DataError

if TYPE_CHECKING:
    from ase import Atoms

PROGRAM = PROGRAMS["castep-castep"]
HEADER, END_OF_HEADER = "BEGIN header", "END header"
CORRECTED = "{}_with_dispersion_correlation"
"""ASE's names of the corrected energies."""


def castep_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the frames of the last run in a ``.castep`` file, or of a trajectory.

    Raises
    ------
    DataError
        If ASE finds the file damaged, or an output without a regular end.
    """
    from ase.io.castep.castep_reader import read_castep_castep

    with opened_text(path) as stream:
        if stream.readline().strip() == HEADER:
            yield from _steps(path, stream.read())
            return
        stream.seek(0)
        failures = PROGRAM.failures(stream)
        stream.seek(0)
        images = guarded(lambda: read_castep_castep(stream, slice(None)), path)
    yield from pending_images(images, path, partial(_record, failures))


def _steps(path: Path, text: str) -> Iterator[PendingFrame]:
    """Yield the steps of a trajectory; one that lacks lines that the first one has was cut off."""
    lines = text.partition(END_OF_HEADER)[2].splitlines(keepends=True)
    steps = [list(step) for written, step in groupby(lines, lambda line: bool(line.strip())) if written]
    if not steps:
        raise DataError(f"{path}: it contains no steps")
    first = _tags(steps[0])
    for index, step in enumerate(steps):
        source = f"{path}, frame {index}"
        if _tags(step) == first and (len(steps) > 1 or 0 < first["R"] == first["F"]):
            yield PendingFrame(source, partial(_step, step, source))
        else:
            yield broken_frame(source, "the file is cut off within this step")


def _tags(step: list[str]) -> Counter[str]:
    """Return how many lines of each kind there are: positions end in ``<-- R``, forces in ``<-- F``."""
    return Counter(line.rpartition("<--")[2].strip() for line in step if "<--" in line)


def _step(step: list[str], source: str) -> Record:
    from ase.io.castep.geom_md_ts import iread_castep_md

    text = "".join([END_OF_HEADER, "\n\n", *step, "\n\n"])
    return record_of_ase(guarded(lambda: next(iread_castep_md(io.StringIO(text))), source), source)


def _record(failures: frozenset[float], atoms: Atoms, source: str) -> Record:
    record = record_of_scf(PROGRAM, failures, atoms, source)
    energy, free, zero = (record.info.get(CORRECTED.format(n)) for n in ("energy", "free_energy", "energy_zero"))
    if energy is not None:
        record.info |= {"energy": zero if free is not None and zero is not None else energy}
        record.info |= {"free_energy": energy if free is None else free}
    return record

"""The text that GPAW prints, with the free energy that its forces belong to.

ASE's reader returns only the energy extrapolated to zero smearing, and stops silently at a step that did not converge
(ASE 3.29). See https://gpaw.readthedocs.io.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from keel.atoms.formats.ase_files import broken_frame, guarded, pending_images
from keel.atoms.formats.compression import opened_text
from keel.atoms.labelling.labelled import record_of_ase
from keel.atoms.record import PendingFrame, Record

if TYPE_CHECKING:
    from ase import Atoms

NO_ENERGY = "GPAW printed no energy for this step: its electrons did not converge, or the file is cut off"


def gpaw_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the frames of a text output of GPAW.

    Raises
    ------
    DataError
        If ASE finds the file damaged.
    """
    from ase.io.gpaw_out import read_gpaw_out

    with opened_text(path) as stream:
        steps = sum(line.strip().lower() == "positions:" for line in stream)
        stream.seek(0)
        images = guarded(lambda: read_gpaw_out(stream, slice(None)), path)
    yield from pending_images((atoms for atoms in images if atoms.calc is not None), path, _record)
    done = sum(atoms.calc is not None for atoms in images)
    if done < steps:
        yield broken_frame(f"{path}, frame {done}", NO_ENERGY)


def _record(atoms: Atoms, source: str) -> Record:
    record = record_of_ase(atoms, source)
    parts = getattr(atoms.calc, "energy_contributions", {})
    extrapolated = parts.get("extrapolated", parts.get("zero kelvin"))
    if "free energy" in parts and extrapolated is not None and "energy" in record.info:
        # By its difference, because a dispersion correction comes on top of both.
        record.info["free_energy"] = record.info["energy"] + parts["free energy"] - extrapolated
    return record

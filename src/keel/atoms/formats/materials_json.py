"""JSON of the Materials Project and its kin: MPtrj's object of materials, MatPES' list of records."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from keel.atoms.elements import atomic_number
from keel.atoms.formats.ase_files import ase_frames
from keel.atoms.formats.compression import opened
from keel.atoms.formats.json_stream import json_members
from keel.atoms.record import LabelKeys, PendingFrame, Record
from keel.errors import DataError

MPTRJ_KEYS = LabelKeys(
    energy="uncorrected_total_energy", forces="force", stress="stress", stress_convention="vasp-kbar"
)
"""The DFT labels in MPtrj's JSON: total energy without Materials Project corrections, stress as VASP prints it."""


def json_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the frames of a JSON file: a database of ASE, or in MPtrj's layout."""
    with opened(path) as stream:
        start = stream.read(2000)
    if any(key in start for key in (b'"unique_id"', b'"ctime"', b"__ndarray__")):
        yield from ase_frames(path)
        return
    with opened(path) as stream:
        yield from mptrj_frames(stream, path)


def mptrj_frames(stream: IO[bytes], path: Path) -> Iterator[PendingFrame]:
    """Yield the frames of ``{material: {frame: {structure, uncorrected_total_energy, force, stress}}}``."""
    for material, frames in json_members(stream, path):
        if not isinstance(frames, dict):
            raise DataError(
                f"{path}: {material!r} should be an object of frames, as in MPtrj; convert the file to extxyz"
            )
        for name, content in frames.items():
            source = f"{path}, frame {name}"
            yield PendingFrame(source, partial(_mptrj_record, material, content, source))


def _mptrj_record(material: str, content: Any, source: str) -> Record:
    try:
        structure = content["structure"]
        sites = structure["sites"]
        if any(len(site["species"]) != 1 or site["species"][0].get("occu", 1) != 1 for site in sites):
            raise DataError("it has partly occupied sites, which cannot be simulated")
        numbers = np.array([atomic_number(site["species"][0]["element"]) for site in sites], dtype=np.int64)
        cell = np.array(structure["lattice"]["matrix"], dtype=np.float64).reshape(3, 3)
        positions = np.array([site["abc"] for site in sites], dtype=np.float64).reshape(-1, 3) @ cell
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = (
            str(error) if isinstance(error, DataError) else "its structure is not in the layout of MPtrj (pymatgen)"
        )
        raise DataError(f"{source}: {reason}") from None
    info = {k: v for k, v in content.items() if k not in ("structure", "force", "magmom") and v is not None}
    arrays = {k: content[k] for k in ("force", "magmom") if content.get(k) is not None}
    info = {"mp_id": material, **info}
    return Record(numbers, positions, cell, np.ones(3, dtype=bool), info, arrays, source, usual=MPTRJ_KEYS)

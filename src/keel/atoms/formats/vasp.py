"""VASP's vasprun.xml and OUTCAR: which one a file is. See https://www.vasp.at/wiki."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from keel.atoms.formats.compression import opened
from keel.atoms.formats.vasp_outcar import outcar_frames
from keel.atoms.formats.vasp_xml import vasprun_frames
from keel.atoms.record import PendingFrame


def vasp_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the frames of a vasprun.xml or an OUTCAR, one for each ionic step.

    Raises
    ------
    DataError
        If it ends before its first step, or is damaged.
    """
    with opened(path) as stream:
        is_xml = stream.read(100).lstrip().startswith(b"<")
    yield from (vasprun_frames if is_xml else outcar_frames)(path)

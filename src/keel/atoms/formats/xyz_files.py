"""Files of extended XYZ, plain or compressed, read and written as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from keel.atoms.formats.compression import created, opened
from keel.atoms.formats.extxyz import format_frame, raw_frames
from keel.atoms.frame import Frame
from keel.atoms.record import PendingFrame
from keel.kernels import kernels_run

PAYS_FROM = 4 << 20
"""Bytes of a file; loading machine code takes about as long as reading such a file without it."""


def xyz_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the frames of a file; usual frames of a large file are read by machine code."""
    with opened(path) as stream:
        if path.stat().st_size >= PAYS_FROM and kernels_run():
            from keel.atoms.formats.xyz_quick import quick_frames

            yield from quick_frames(stream, str(path))
            return
        for raw in raw_frames(stream, str(path)):
            yield PendingFrame(raw.source, raw.record, raw.text)


def write_xyz(path: Path, frames: Iterable[Frame]) -> int:
    """Write frames and return their number."""
    with created(path) as file:
        return sum(1 for frame in frames if file.write(format_frame(frame).encode()))

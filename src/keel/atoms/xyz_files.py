"""Files of extended XYZ, plain or compressed, read and written as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from keel.atoms.compression import created, opened
from keel.atoms.extxyz import RawFrame, format_frame, raw_frames
from keel.atoms.frame import Frame, PendingFrame
from keel.atoms.labels import LabelKeys, frame_from_record


def xyz_frames(path: Path, keys: LabelKeys | None) -> Iterator[PendingFrame]:
    """Yield the frames of a file."""
    with opened(path) as stream:
        for raw in raw_frames(stream, str(path)):
            yield PendingFrame(raw.source, partial(_frame, raw, keys), raw.text)


def write_xyz(path: Path, frames: Iterable[Frame]) -> int:
    """Write frames and return their number."""
    with created(path) as file:
        return sum(1 for frame in frames if file.write(format_frame(frame).encode()))


def begins_like_xyz(path: Path) -> bool:
    """Whether a file begins with a number of atoms and a comment with Properties or Lattice."""
    with opened(path) as stream:
        first, second = stream.readline(1000), stream.readline(10000)
    return first.strip().isdigit() and (b"Properties=" in second or b"Lattice=" in second)


def _frame(raw: RawFrame, keys: LabelKeys | None) -> Frame:
    return frame_from_record(raw.record(), keys)

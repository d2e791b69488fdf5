"""What readers and checks did with the labels of many frames, in few sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from keel.atoms.frame import Frame
from keel.atoms.store.frames import StoredFrames


def notes(frames: Iterable[Frame]) -> list[str]:
    """Return one sentence for each kind of remark, with the number of frames and the first of them."""
    if isinstance(frames, StoredFrames):
        frames = frames.take(np.flatnonzero(frames.present("remarks")))
    sources: dict[str, list[str]] = {}
    for frame in frames:
        for remark in dict.fromkeys(frame.remarks):
            sources.setdefault(remark, []).append(frame.source)
    return [f"{frames_of(len(where))} with {remark} ({_first(where)})" for remark, where in sources.items()]


def frames_of(number: int) -> str:
    """Return ``1 frame`` or ``7 frames``."""
    return f"{number:,} frame{'s' * (number != 1)}"


def _first(where: Sequence[str]) -> str:
    return where[0] if len(where) == 1 else f"the first is {where[0]}"


def file_of(frame: Frame) -> str:
    """Return the file that a frame was read from."""
    return frame.source.rpartition(", ")[0] or frame.source


def files_of(frames: Iterable[Frame]) -> dict[str, list[Frame]]:
    """Return the frames of each file."""
    files: dict[str, list[Frame]] = {}
    for frame in frames:
        files.setdefault(file_of(frame), []).append(frame)
    return files

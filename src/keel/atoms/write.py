"""Writing labelled frames, completely or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path

import numpy as np

from keel.atoms.conversion import Structures, each_frame
from keel.atoms.frame import Frame
from keel.errors import DataError
from keel.files import replace_file
from keel.kinds import COMPRESSED, FrameFormat, format_of, imported, writable
from keel.wording import a


def write(path: str | Path, frames: Structures) -> int:
    """Write frames and return their number; :func:`keel.read` brings every digit back.

    Parameters
    ----------
    path
        Its suffix decides the format, see :data:`keel.kinds.FRAME_FORMATS`; extended XYZ is written as a stream, and
        compressed where the name ends in ``.gz``, ``.xz`` or ``.bz2``. An existing file is replaced once the new one is
        complete. Into a store (``.keel``) frames are written as a stream too, checked as by :func:`keel.atoms.pack`.
    frames
        Frames, ``ase.Atoms`` or files, one or any iterable of them (:func:`keel.atoms.as_frames`).

    Raises
    ------
    DataError
        If the suffix is another, there are no frames, the place cannot be written to, a key of ``info`` would be
        read back as a label, positions or a cell are not finite, or a store would hold a frame that cannot be used.

    Examples
    --------
    >>> import keel
    >>> keel.write("first.extxyz.xz", keel.datasets.phosphorus()[:100])  # doctest: +SKIP
    100
    """
    if not isinstance(path, str | PathLike):
        raise DataError(f"{a(type(path).__name__)} is not the path of a file; write as keel.write(PATH, frames)")
    path = Path(path)
    members = _finite(each_frame(frames))
    form, count = _format(path), 0
    writer: Callable[[Path, Iterator[Frame]], int] = imported(str(form.writer))

    def write_to(place: Path) -> None:
        nonlocal count
        count = writer(place, members)
        if not count:
            raise DataError(f"{path}: there are no frames to write")

    try:
        if form.folder:
            write_to(path)
        else:
            replace_file(path, write_to)
    except OSError as error:
        raise DataError(f"{path}: it cannot be written ({error.strerror or error})") from None
    return count


def _finite(frames: Iterator[Frame]) -> Iterator[Frame]:
    for frame in frames:
        if not (np.isfinite(frame.positions).all() and np.isfinite(frame.cell).all()):
            raise DataError(f"{frame.source}: its positions or cell are not finite (NaN or infinite); leave it out")
        yield frame


def _format(path: Path) -> FrameFormat:
    form = format_of(path)
    packed = path.suffix.lower() in COMPRESSED
    if form is None or form.writer is None or (packed and not form.compressed):
        raise DataError(f"{path}: frames are written as {writable()}")
    return form

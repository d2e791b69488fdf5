"""Writing labelled frames, completely or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from keel.atoms.frame import Frame
from keel.atoms.labels import frame_from_ase
from keel.errors import DataError
from keel.files import replace_file
from keel.kinds import COMPRESSED, format_of, imported, writable

if TYPE_CHECKING:
    from ase import Atoms


def write(path: str | Path, frames: Iterable[Frame | Atoms] | Frame | Atoms) -> int:
    """Write frames and return their number; :func:`keel.read` brings every digit back.

    Parameters
    ----------
    path
        Its suffix decides the format, see :data:`keel.kinds.FRAME_FORMATS`; extended XYZ is written as a stream, and
        compressed where the name ends in ``.gz``, ``.xz`` or ``.bz2``. An existing file is replaced once the new one is
        complete.
    frames
        Frames or ``ase.Atoms``, any iterable of them, or one.

    Raises
    ------
    DataError
        If the suffix is another, there are no frames, the place cannot be written to, or a key of ``info`` would be
        read back as a label.

    Examples
    --------
    >>> import keel
    >>> keel.write("first.extxyz.xz", keel.datasets.phosphorus()[:100])  # doctest: +SKIP
    100
    """
    path = Path(path)
    single = isinstance(frames, Frame) or hasattr(frames, "get_positions")
    members = _as_frames([frames] if single else frames)  # type: ignore[arg-type]
    writer, count = _writer(path), 0

    def write_to(temporary: Path) -> None:
        nonlocal count
        count = writer(temporary, members)
        if not count:
            raise DataError(f"{path}: there are no frames to write")

    try:
        replace_file(path, write_to)
    except OSError as error:
        raise DataError(f"{path}: it cannot be written ({error.strerror or error})") from None
    return count


def _as_frames(structures: Iterable[Frame | Atoms]) -> Iterator[Frame]:
    for structure in structures:
        yield structure if isinstance(structure, Frame) else frame_from_ase(structure)


def _writer(path: Path) -> Callable[[Path, Iterator[Frame]], int]:
    form = format_of(path)
    packed = path.suffix.lower() in COMPRESSED
    if form is None or form.writer is None or (packed and not form.compressed):
        raise DataError(f"{path}: frames are written as {writable()}")
    writer: Callable[[Path, Iterator[Frame]], int] = imported(form.writer)
    return writer

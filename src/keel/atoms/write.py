"""Writing labelled frames, completely or not at all."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keel.atoms.extxyz import format_frame
from keel.atoms.frame import Frame
from keel.atoms.labels import frame_from_ase
from keel.atoms.npz import write_npz
from keel.errors import DataError
from keel.files import replace_file

if TYPE_CHECKING:
    from ase import Atoms

_OPENERS: dict[str, Callable[..., Any]] = {
    # Without a time in it, the same frames give the same file.
    ".gz": partial(gzip.GzipFile, mtime=0),
    ".xz": lzma.open,
    ".bz2": bz2.open,
}


def write(path: str | Path, frames: Iterable[Frame | Atoms] | Frame | Atoms) -> int:
    """Write frames and return their number; :func:`keel.read` brings every digit back.

    Parameters
    ----------
    path
        ``.extxyz`` or ``.xyz`` (also ``.gz``, ``.xz``, ``.bz2``; written as a stream), ``.npz`` or ``.db`` (ASE).
        An existing file is replaced once the new one is complete.
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
    suffix = path.suffix.lower()
    plain = Path(path.stem).suffix.lower() if suffix in _OPENERS else suffix
    if plain in (".extxyz", ".xyz"):
        return partial(_write_extxyz, opener=_OPENERS.get(suffix, open))
    if suffix == ".npz":
        return write_npz
    if suffix == ".db":
        return _write_db
    raise DataError(f"{path}: frames are written as .extxyz, .xyz (also .gz, .xz, .bz2), .npz or .db")


def _write_extxyz(path: Path, frames: Iterator[Frame], opener: Callable[..., Any]) -> int:
    with opener(path, "wb") as file:
        return sum(1 for frame in frames if file.write(format_frame(frame).encode()))


def _write_db(path: Path, frames: Iterator[Frame]) -> int:
    import ase.db

    with ase.db.connect(str(path), type="db", use_lock_file=False) as database:
        return sum(1 for frame in frames if database.write(frame.to_ase(), data=dict(frame.info)))

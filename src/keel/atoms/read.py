"""Reading labelled frames, as a list or as a stream, from one file or several.

Formats by suffix, plain or compressed (gz, xz, bz2): ``.extxyz``/``.xyz``; ``.npz``; ``.db`` (ASE database);
``.json`` (MPtrj); anything else that ASE knows (``vasprun.xml``, ``OUTCAR``, ``.traj``, ``.cif``, ...).
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any

from keel.atoms.checks import check_frame
from keel.atoms.extxyz import RawFrame, format_frame, raw_frames
from keel.atoms.formats import PendingFrame, ase_db_frames, ase_frames, mptrj_frames
from keel.atoms.frame import Frame
from keel.atoms.label_check import refuse_wrong_labels
from keel.atoms.labels import LabelKeys, frame_from_record
from keel.atoms.npz import npz_records
from keel.errors import ConfigError, DataError

Paths = str | Path | Sequence[str | Path]
LABELS = ("energy", "forces")

_COMPRESSED = (".gz", ".xz", ".bz2")


class BadFrames:
    """Frames that were set aside: written to a file as they stood, counted, with the reason of each.

    Parameters
    ----------
    path
        Where they go; the file is made when the first one is met.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.reasons: list[str] = []

    def __len__(self) -> int:
        return len(self.reasons)

    def add(self, text: bytes, reason: str) -> None:
        """Set one frame aside."""
        try:
            with open(self.path, "ab" if self.reasons else "wb") as file:
                file.write(text if text.endswith(b"\n") else text + b"\n")
        except OSError as error:
            raise DataError(f"{self.path}: bad frames cannot be written there ({error.strerror})") from None
        self.reasons.append(reason)


def read(
    paths: Paths,
    *,
    index: slice | str | None = None,
    keys: LabelKeys | None = None,
    require: Iterable[str] = LABELS,
    skip_bad: str | Path | BadFrames | None = None,
) -> list[Frame]:
    """Read labelled frames from one file or several.

    Parameters
    ----------
    paths
        A file or a list of files (formats: see the module).
    index
        Which frames, counted over all files, as a slice or text such as ``":100"`` or ``"::10"``; None for all.
    keys
        Names of the labels where they are not the common ones.
    require
        Labels that every frame must carry: of ``energy``, ``forces``, ``stress``.
    skip_bad
        File to which frames that cannot be used are written instead of stopping at the first; give a
        :class:`BadFrames` to learn their number and the reasons.

    Raises
    ------
    DataError
        If a file cannot be read, or a frame is damaged, lacks a required label, or cannot be real (see
        :func:`keel.atoms.checks.check_frame`), or forces or stresses contradict the energies.

    Examples
    --------
    >>> import keel
    >>> frames = keel.read("train.extxyz")  # doctest: +SKIP
    >>> frames[0].energy, frames[0].forces.shape  # doctest: +SKIP
    (-118.8286361694336, (36, 3))
    """
    wanted = _slice(index)
    frames = iter_frames(paths, keys=keys, require=require, skip_bad=skip_bad)
    if all(n is None or n >= 0 for n in (wanted.start, wanted.stop, wanted.step)):
        chosen = list(islice(frames, wanted.start, wanted.stop, wanted.step))
    else:
        chosen = list(frames)[wanted]
    refuse_wrong_labels(chosen)
    return chosen


def iter_frames(
    paths: Paths,
    *,
    keys: LabelKeys | None = None,
    require: Iterable[str] = LABELS,
    skip_bad: str | Path | BadFrames | None = None,
) -> Iterator[Frame]:
    """Yield the frames of some files one by one, so that a file need not fit into memory.

    Arguments and errors as :func:`read`; forces and stresses are not compared with energies, which takes many frames.
    """
    files = [Path(paths)] if isinstance(paths, str | Path) else [Path(p) for p in paths]
    bad = BadFrames(skip_bad) if isinstance(skip_bad, str | Path) else skip_bad
    if bad is not None and any(bad.path.absolute() == file.absolute() for file in files):
        raise ConfigError(f"{bad.path}: bad frames cannot be written to the file that is being read")
    if not files:
        raise DataError("no file was given to read")
    required = _required(require)
    return (frame for file in files for frame in _file_frames(file, keys, required, bad))


def _file_frames(
    path: Path, keys: LabelKeys | None, require: tuple[str, ...], bad: BadFrames | None
) -> Iterator[Frame]:
    found, good = 0, 0
    for pending in _pending_frames(path, keys):
        found += 1
        frame = None
        try:
            frame = pending.make()
            check_frame(frame, require)
        except DataError as error:
            if bad is None:
                raise
            bad.add(pending.text or _as_text(frame, error), str(error))
            continue
        good += 1
        yield frame
    if not found:
        raise DataError(f"{path}: it holds no frames")
    if not good and bad is not None:
        raise DataError(f"none of the {found} frames can be used; the first one: {bad.reasons[-found]}")


def _pending_frames(path: Path, keys: LabelKeys | None) -> Iterator[PendingFrame]:
    _check_is_file(path)
    suffixes = [s.lower() for s in path.suffixes]
    kind = next((s for s in reversed(suffixes) if s not in _COMPRESSED), "")
    if kind in (".extxyz", ".xyz") or (kind != ".json" and _begins_like_xyz(path)):
        with opened(path) as stream:
            yield from _xyz_frames(stream, path, keys)
    elif kind == ".npz":
        for record in npz_records(path):
            yield PendingFrame(record.source, partial(frame_from_record, record, keys))
    elif kind == ".db":
        yield from ase_db_frames(path, keys)
    elif kind == ".json" and not _is_ase_json(path):
        with opened(path) as stream:
            yield from mptrj_frames(stream, path, keys)
    else:
        yield from ase_frames(path, keys)


def _xyz_frames(stream: IO[bytes], path: Path, keys: LabelKeys | None) -> Iterator[PendingFrame]:
    for raw in raw_frames(stream, str(path)):
        yield PendingFrame(raw.source, partial(_xyz_frame, raw, keys), raw.text)


def _xyz_frame(raw: RawFrame, keys: LabelKeys | None) -> Frame:
    return frame_from_record(raw.record(), keys)


def _as_text(frame: Frame | None, error: DataError) -> bytes:
    return (f"# {error}\n" if frame is None else format_frame(frame)).encode()


def _check_is_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise DataError(f"{path}: it is a folder; name the files in it")
        if not path.exists():
            raise DataError(f"{path}: there is no such file")
        if not path.is_file():
            raise DataError(f"{path}: it is not a regular file")
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty")
        path.open("rb").close()
    except OSError as error:
        raise DataError(f"{path}: it cannot be read ({error.strerror})") from None


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a plain or compressed file, told apart by its first bytes; damage becomes one sentence."""
    with open(path, "rb") as file:
        magic = file.read(6)
    openers: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ\x00": lzma.open, b"BZh": bz2.open}
    opener = next((o for m, o in openers.items() if magic.startswith(m)), open)
    try:
        with opener(path, "rb") as stream:
            yield stream
    except DataError as error:
        raise error if str(path) in str(error) else DataError(f"{path}: {error}") from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path}: the compressed file is damaged or cut off ({error}); fetch it again") from None


def _begins_like_xyz(path: Path) -> bool:
    """Whether a file of an unknown name begins with a number of atoms and a comment with Properties or Lattice."""
    with opened(path) as stream:
        first, second = stream.readline(1000), stream.readline(10000)
    return first.strip().isdigit() and (b"Properties=" in second or b"Lattice=" in second)


def _is_ase_json(path: Path) -> bool:
    """Whether a JSON file is a database of ASE rather than MPtrj's layout."""
    with opened(path) as stream:
        start = stream.read(2000)
    return any(key in start for key in (b'"unique_id"', b'"ctime"', b"__ndarray__"))


def _required(require: Iterable[str]) -> tuple[str, ...]:
    labels = (require,) if isinstance(require, str) else tuple(require)
    unknown = set(labels) - {"energy", "forces", "stress"}
    if unknown:
        raise ConfigError(f"{sorted(unknown)[0]!r} is not a label; require energy, forces or stress")
    return labels


def _slice(index: slice | str | None) -> slice:
    if index is None or isinstance(index, slice):
        return index or slice(None)
    parts = index.split(":")
    try:
        numbers = [int(part) if part.strip() else None for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or (len(numbers) == 3 and numbers[2] == 0):
        raise ConfigError(f"the index {index!r} is not a slice; write for example ':100' or '::10'")
    return slice(*numbers)

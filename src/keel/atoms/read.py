"""Reading labelled frames, as a list or as a stream, from one file or several; :mod:`keel.kinds` has the formats."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from keel.atoms.checks import check_frame
from keel.atoms.extxyz import format_frame
from keel.atoms.frame import Frame, PendingFrame
from keel.atoms.label_check import refuse_wrong_labels
from keel.atoms.labels import LabelKeys
from keel.atoms.xyz_files import begins_like_xyz
from keel.errors import ConfigError, DataError
from keel.kinds import OTHERS, XYZ, format_of, imported

Paths = str | Path | Sequence[str | Path]
LABELS = ("energy", "forces")


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
        A file or a list of files, of the formats of :data:`keel.kinds.FRAME_FORMATS` or any that ASE reads.
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
    _check_is_file(path)
    for pending in _reader(path)(path, keys):
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


def _reader(path: Path) -> Callable[[Path, LabelKeys | None], Iterator[PendingFrame]]:
    """Return the reader of a file; without a suffix that keel knows, its beginning may tell."""
    form = format_of(path) or (XYZ if begins_like_xyz(path) else OTHERS)
    reader: Callable[[Path, LabelKeys | None], Iterator[PendingFrame]] = imported(form.reader)
    return reader


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

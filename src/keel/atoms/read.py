"""Reading labelled frames, as a list or as a stream, from one file or several; :mod:`keel.kinds` has the formats."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from keel.atoms.findings import refuse_wrong_labels
from keel.atoms.formats.compression import opened
from keel.atoms.formats.extxyz import format_frame
from keel.atoms.formats.of_plugins import plugin_frames
from keel.atoms.frame import Frame
from keel.atoms.frames import Frames
from keel.atoms.labels import frame_from_record
from keel.atoms.record import LabelKeys, PendingFrame
from keel.atoms.soundness.frames import check_frame
from keel.atoms.soundness.unknown import without_placeholders
from keel.errors import ConfigError, DataError
from keel.kinds import FRAME_FORMATS, OTHERS, FrameFormat, folders, format_of, imported
from keel.plugins import discover

Paths = str | Path | Sequence[str | Path]
BEGINNING = 50_000
"""Bytes of a file by which its format is told: as many as ASE looks at, so that no format is told by ASE alone."""


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
    require: Iterable[str] = (),
    labels: bool = True,
    skip_bad: str | Path | BadFrames | None = None,
) -> Frames:
    """Read frames with the labels that each has, from one file or several.

    Numbers that stand for "unknown" (NaN throughout, a stress of zero beside forces that are not, forces of constrained
    atoms) are no labels; each such frame says so in its ``remarks``.

    Parameters
    ----------
    paths
        A file or a list of files, of the formats of :data:`keel.kinds.FRAME_FORMATS` or any that ASE reads.
    index
        Which frames, counted over all files, as a slice or text such as ``":100"`` or ``"::10"``; None for all.
    keys
        Names and units of the labels where they are not the common ones.
    require
        Labels that every frame must carry: of ``energy``, ``forces``, ``stress``.
    labels
        False: only structures are wanted; labels are neither taken nor refused.
    skip_bad
        File to which frames that cannot be used are written instead of stopping at the first; give a
        :class:`BadFrames` to learn their number and the reasons.

    Raises
    ------
    DataError
        If a file cannot be read, or a frame is damaged, lacks a required label, or cannot be real (see
        :func:`keel.atoms.soundness.frames.check_frame`), or forces or stresses contradict the energies.

    Examples
    --------
    >>> import keel
    >>> frames = keel.read("train.extxyz")  # doctest: +SKIP
    >>> frames[0].energy, frames[0].forces.shape  # doctest: +SKIP
    (-118.8286361694336, (36, 3))
    """
    wanted = _slice(index)
    frames = iter_frames(paths, keys=keys, require=require, labels=labels, skip_bad=skip_bad)
    if all(n is None or n >= 0 for n in (wanted.start, wanted.stop, wanted.step)):
        chosen = list(islice(frames, wanted.start, wanted.stop, wanted.step))
    else:
        chosen = list(frames)[wanted]
    return believed(chosen) if labels else Frames(chosen)


def believed(frames: Sequence[Frame]) -> Frames:
    """Return frames without labels that many frames together tell to be none.

    Raises
    ------
    DataError
        If forces or stresses contradict the energies.
    """
    kept = without_placeholders(frames)
    refuse_wrong_labels(kept)
    return Frames(kept)


def iter_frames(
    paths: Paths,
    *,
    keys: LabelKeys | None = None,
    require: Iterable[str] = (),
    labels: bool = True,
    skip_bad: str | Path | BadFrames | None = None,
) -> Iterator[Frame]:
    """Yield the frames of some files one by one, so that a file need not fit into memory.

    Arguments and errors as :func:`read`; what takes many frames to see is not looked for: whether forces and stresses
    belong to the energies, and forces of constrained atoms.
    """
    files = [Path(paths)] if isinstance(paths, str | Path) else [Path(p) for p in paths]
    bad = BadFrames(skip_bad) if isinstance(skip_bad, str | Path) else skip_bad
    if bad is not None and any(bad.path.absolute() == file.absolute() for file in files):
        raise ConfigError(f"{bad.path}: bad frames cannot be written to the file that is being read")
    if not files:
        raise DataError("no file was given to read")
    required = _required(require)

    def made(pending: PendingFrame) -> Frame:
        return frame_from_record(pending.record(), keys, labels=labels)

    return (frame for file in files for frame in _file_frames(file, made, required, bad))


def _file_frames(
    path: Path, made: Callable[[PendingFrame], Frame], require: tuple[str, ...], bad: BadFrames | None
) -> Iterator[Frame]:
    found, good = 0, 0
    _check_is_there(path)
    waiting = _reader(path)(path)
    while True:
        pending = frame = None
        try:
            pending = next(waiting, None)
            if pending is None:
                break
            found += 1
            frame = made(pending)
            check_frame(frame, require)
        except DataError as error:
            if bad is None or not found:
                raise
            text = pending.text if pending else None
            bad.add(text or _as_text(frame, error), str(error))
            # Where the reader itself cannot go on, nothing comes after it.
            if pending is None:
                break
            continue
        good += 1
        yield frame
    if not found:
        raise DataError(f"{path}: it holds no frames")
    if not good and bad is not None:
        raise DataError(f"none of the {found} frames can be used; the first one: {bad.reasons[-found]}")


def _reader(path: Path) -> Callable[[Path], Iterator[PendingFrame]]:
    """Return the reader of a file: what it begins with tells more than its name."""
    form = _format(path)
    if form is None:
        discover()
        form = _format(path) or OTHERS
    if not form.reader.startswith("keel."):
        return partial(plugin_frames, form)
    reader: Callable[[Path], Iterator[PendingFrame]] = imported(form.reader)
    return reader


def _format(path: Path) -> FrameFormat | None:
    return _by_beginning(path) or format_of(path)


def _by_beginning(path: Path) -> FrameFormat | None:
    if path.is_dir():
        return next((form for form in FRAME_FORMATS if form.holds(path)), None)
    with opened(path) as stream:
        start = stream.read(BEGINNING)
    return next((form for form in FRAME_FORMATS if form.begins and re.search(form.begins, start)), None)


def _as_text(frame: Frame | None, error: DataError) -> bytes:
    return (f"# {error}\n" if frame is None else format_frame(frame)).encode()


def _check_is_there(path: Path) -> None:
    try:
        if not path.exists():
            raise DataError(f"{path}: there is no such file")
        if path.is_dir():
            held = [form.name for form in FRAME_FORMATS if form.holds(path)]
            if len(held) == 1:
                return
            if held:
                raise DataError(f"{path}: this folder holds {' and '.join(held)}; name those of one kind")
            raise DataError(f"{path}: this folder holds no {folders()}; name the files in it that are to be read")
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

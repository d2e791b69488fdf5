"""The content of files: their readers, recognised by the beginning of the file, and their frames, made one by one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from keel.atoms.formats.compression import opened, refuse_packed
from keel.atoms.formats.extxyz import format_frame
from keel.atoms.formats.of_plugins import plugin_frames
from keel.atoms.frame import Frame
from keel.atoms.labelling.labelled import frame_from_record
from keel.atoms.record import USUAL, LabelKeys, PendingFrame
from keel.atoms.soundness.frames import check_frame
from keel.atoms.store.frames import StoredFrames, is_store, open_store
from keel.errors import ConfigError, DataError
from keel.kinds import FRAME_FORMATS, OTHERS, FrameFormat, folders, format_of, imported
from keel.plugins import discover

BEGINNING = 50_000
"""Bytes of a file from which its format is recognised: as many as ASE reads, so that ASE recognises no format that keel
misses."""

ADDRESS = re.compile(r"(?i)(?:https?|ftp|s3|gs|hf):/")
"""Begins the address of a file elsewhere."""


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
        """Set one frame aside.

        Parameters
        ----------
        text
            The frame as it stands in its file.
        reason
            Why it cannot be used.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        try:
            with open(self.path, "ab" if self.reasons else "wb") as file:
                file.write(text if text.endswith(b"\n") else text + b"\n")
        except OSError as error:
            raise DataError(f"{self.path}: bad frames cannot be written there ({error.strerror})") from None
        self.reasons.append(reason)

    def extend(self, text: bytes, reasons: Sequence[str]) -> None:
        """Set several frames aside."""
        if reasons:
            self.add(text, reasons[0])
            self.reasons += reasons[1:]


def check_keys_of_store(file: Path, keys: LabelKeys | None) -> None:
    """Raise a ConfigError if names or units are given for a store."""
    if keys is not None and keys != USUAL:
        raise ConfigError(
            f"{file}: a store has labels under keel's own names and in its units; give names and units of other files "
            "when you pack them (`keel pack`)"
        )


def set_aside_into(given: str | Path | BadFrames | None, files: Iterable[Path]) -> BadFrames | None:
    """Return where bad frames of some files go; ConfigError if it is one of these."""
    bad = BadFrames(given) if isinstance(given, str | Path) else given
    if bad is not None and any(bad.path.absolute() == file.absolute() for file in files):
        raise ConfigError(f"{bad.path}: bad frames cannot be written to the file that is being read")
    return bad


def required_labels(require: Iterable[str]) -> tuple[str, ...]:
    """Return the names of labels; ConfigError if one is invalid."""
    labels = (require,) if isinstance(require, str) else tuple(require)
    unknown = set(labels) - {"energy", "forces", "stress"}
    if unknown:
        raise ConfigError(f"{sorted(unknown)[0]!r} is not a label; require energy, forces or stress")
    return labels


Make = Callable[[BadFrames | None], Frame | None]
"""Returns a frame, or None if it is set aside."""


def frames_in(
    files: Iterable[Path], keys: LabelKeys | None, require: Sequence[str] = (), labels: bool = True
) -> Iterator[Make]:
    """Yield a function for each frame of some files, so that unneeded frames are not made.

    Raises
    ------
    DataError
        If a file cannot be read or contains no frames; the functions raise it for their own frame.
    """
    for file in files:
        _check_is_there(file)
        found = 0
        for make in _makers(file, keys, tuple(require), labels):
            found += 1
            yield make
        if not found:
            raise DataError(f"{file}: it contains no frames")


def _makers(file: Path, keys: LabelKeys | None, require: tuple[str, ...], labels: bool) -> Iterator[Make]:
    if is_store(file):
        check_keys_of_store(file, keys)
        yield from (partial(_checked, frame, require) for frame in with_labels(open_store(file), (), labels))
        return
    waiting, found = _reader(file)(file), False
    try:
        for pending in waiting:
            found = True
            yield partial(_made, pending, keys, require, labels)
    except DataError as error:
        # If the reader itself cannot continue, nothing follows.
        if not found:
            raise
        yield partial(_failed, error)


def _made(
    pending: PendingFrame, keys: LabelKeys | None, require: tuple[str, ...], labels: bool, bad: BadFrames | None
) -> Frame | None:
    if pending.usual is not None and labels and keys in (None, USUAL) and (frame := pending.usual()) is not None:
        return _checked(frame, require, bad)
    frame = None
    try:
        frame = frame_from_record(pending.record(), keys, labels=labels)
        check_frame(frame, require)
    except DataError as error:
        if bad is None:
            raise
        bad.add(pending.text or _as_text(frame, error), str(error))
        return None
    return frame


def _checked(frame: Frame, require: tuple[str, ...], bad: BadFrames | None) -> Frame | None:
    if all(getattr(frame, label) is not None for label in require):
        return frame
    try:
        check_frame(frame, require)
    except DataError as error:
        if bad is None:
            raise
        bad.add(_as_text(frame, error), str(error))
    return None


def _failed(error: DataError, bad: BadFrames | None) -> None:
    if bad is None:
        raise error
    bad.add(_as_text(None, error), str(error))


def with_labels(frames: StoredFrames, require: Sequence[str], labels: bool) -> StoredFrames:
    """Return frames of a store, with or without labels; DataError if one lacks a label that is required."""
    for label in require:
        if not (there := frames.present(label)).all():
            check_frame(frames[int(there.argmin())], require)
    return frames if labels else frames.unlabelled()


def _reader(path: Path) -> Callable[[Path], Iterator[PendingFrame]]:
    """Return the reader of a file: its beginning is more reliable than its name."""
    form = _format(path)
    if form is None:
        discover()
        form = _format(path) or OTHERS
    if not form.reader.startswith("keel."):
        return partial(plugin_frames, form)
    if path.is_file():
        refuse_packed(path, in_place=form.in_place)
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


def _unexpanded(path: str) -> str:
    """Say what a shell would have expanded in the name of a file that is not there."""
    if any(sign in path for sign in "*?"):
        return "; keel does not expand * and ?, list the files"
    return "; keel does not expand ~ and $, write the folder out" if path.startswith("~") or "$" in path else ""


def _check_is_there(path: Path) -> None:
    try:
        if not path.exists():
            # A path has one slash of the two.
            if ADDRESS.match(str(path)):
                raise DataError(f"{path}: files are not fetched from the internet; download it first")
            raise DataError(f"{path}: there is no such file{_unexpanded(str(path))}")
        if is_store(path):
            return
        if path.is_dir():
            held = [form.name for form in FRAME_FORMATS if form.holds(path)]
            if len(held) == 1:
                return
            if held:
                raise DataError(f"{path}: this folder contains {' and '.join(held)}; name the files of one kind")
            raise DataError(f"{path}: this folder contains no {folders()}; name the files in it to read")
        if not path.is_file():
            raise DataError(f"{path}: it is not a regular file")
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty")
        path.open("rb").close()
    except OSError as error:
        raise DataError(f"{path}: it cannot be read ({error.strerror})") from None

"""Reading labelled frames, as a list or as a stream, from one file or several; :mod:`keel.kinds` has the formats."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from keel.atoms.findings import refuse_wrong_labels
from keel.atoms.frame import Frame
from keel.atoms.frames import Frames
from keel.atoms.in_files import (
    BadFrames,
    Make,
    check_keys_of_store,
    frames_in,
    required_labels,
    set_aside_into,
    with_labels,
)
from keel.atoms.record import LabelKeys, label_keys
from keel.atoms.selecting import MOST
from keel.atoms.soundness.unknown import without_placeholders
from keel.atoms.store.frames import StoredFrames, contents_of, is_store, open_store
from keel.errors import ConfigError, DataError, KeelWarning
from keel.files import named_twice

__all__ = ["BadFrames", "believed", "iter_frames", "read", "stored_frames", "warn_of_stores"]
Paths = str | Path | Sequence[str | Path]


def read(
    paths: Paths,
    *,
    index: slice | str | None = None,
    keys: LabelKeys | Mapping[str, Any] | None = None,
    require: Iterable[str] = (),
    labels: bool = True,
    skip_bad: str | Path | BadFrames | None = None,
) -> Frames | StoredFrames:
    """Read frames with the labels that each has, from one file or several.

    Stores (folders ``.keel``, made by :func:`keel.atoms.pack`) are not read as a whole: each frame is, when it is
    accessed. They were checked when they were packed. Listed together with other files they are read into memory like
    these.

    Numbers that stand for "unknown" (NaN throughout, a stress of zero beside forces that are not, forces of constrained
    atoms) are not labels; each such frame says so in its ``remarks``.

    Parameters
    ----------
    paths
        A file or a list of files, of the formats of :data:`keel.kinds.FRAME_FORMATS` or any that ASE reads.
    index
        Which frames, counted over all files, as a slice or text such as ``":100"`` or ``"::10"``; None for all.
    keys
        Names and units of the labels where they are not the common ones, also as a dictionary: ``{"energy": "E_dft"}``.
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

    Warns
    -----
    KeelWarning
        If a large store is read into memory.

    Examples
    --------
    >>> import keel
    >>> frames = keel.read("train.extxyz")  # doctest: +SKIP
    >>> frames[0].energy, frames[0].forces.shape  # doctest: +SKIP
    (-118.8286361694336, (36, 3))
    """
    wanted = _slice(index)
    if (stored := stored_frames(paths)) is not None:
        for path in files_of(paths):
            check_keys_of_store(path, label_keys(keys))
        return with_labels(stored, required_labels(require), labels)[wanted]
    warn_of_stores(paths)
    frames = iter_frames(paths, keys=keys, require=require, labels=labels, skip_bad=skip_bad)
    if all(n is None or n >= 0 for n in (wanted.start, wanted.stop, wanted.step)):
        chosen = list(islice(frames, wanted.start, wanted.stop, wanted.step))
    else:
        chosen = list(frames)[wanted]
    return believed(chosen) if labels else Frames(chosen)


def files_of(paths: Paths) -> list[Path]:
    """Return the paths of one file or of several; DataError if they are something else, or one is named twice."""
    try:
        files = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    except TypeError:
        raise DataError(f"{paths!r:.80} is not the path of a file, nor a list of paths") from None
    if twice := named_twice(files):
        raise DataError(f"{twice} is named twice; name each file once")
    return files


def believed(frames: Sequence[Frame]) -> Frames:
    """Return frames without labels that many frames together show to be invalid.

    Raises
    ------
    DataError
        If forces or stresses contradict the energies.
    """
    kept = without_placeholders(frames)
    refuse_wrong_labels(kept)
    return Frames(kept)


def stored_frames(paths: Paths) -> StoredFrames | None:
    """Return the frames of stores without reading them; None if one of the files is not a store."""
    files = files_of(paths)
    return open_store(*files) if files and all(map(is_store, files)) else None


def warn_of_stores(paths: Paths) -> None:
    """Warn that large stores are read into memory because other files are read with them.

    Warns
    -----
    KeelWarning
        For each.
    """
    for path in files_of(paths):
        if is_store(path) and (count := contents_of(path)["frames"]) > MOST:
            warnings.warn(
                f"{path}: its {count:,} frames are read into memory, because other files are read together with it; "
                "pack those too (keel pack)",
                KeelWarning,
                stacklevel=3,
            )


def iter_frames(
    paths: Paths,
    *,
    keys: LabelKeys | Mapping[str, Any] | None = None,
    require: Iterable[str] = (),
    labels: bool = True,
    skip_bad: str | Path | BadFrames | None = None,
) -> Iterator[Frame]:
    """Yield the frames of some files one by one, so that a file need not fit into memory.

    Arguments and errors as :func:`read`, but what only many frames together can show is not checked: whether forces and
    stresses belong to the energies, and forces of constrained atoms.

    Parameters
    ----------
    paths, keys, require, labels, skip_bad
        See :func:`read`.

    Raises
    ------
    ConfigError, DataError
        If no file was given, or as :func:`read`, for each frame when it is read.
    """
    files = files_of(paths)
    bad = set_aside_into(skip_bad, files)
    if not files:
        raise DataError("no file was given")
    required, given = required_labels(require), label_keys(keys)

    return (frame for file in files for frame in _file_frames(frames_in([file], given, required, labels), bad))


def _file_frames(makers: Iterator[Make], bad: BadFrames | None) -> Iterator[Frame]:
    found, good = 0, 0
    for make in makers:
        found += 1
        frame = make(bad)
        if frame is not None:
            good += 1
            yield frame
    if not good and bad is not None:
        raise DataError(f"none of the {found} frames can be used; the first one: {bad.reasons[-found]}")


def _slice(index: slice | str | None) -> slice:
    if index is None or isinstance(index, slice):
        return index or slice(None)
    parts = index.split(":") if isinstance(index, str) else []
    try:
        numbers = [int(part) if part.strip() else None for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or (len(numbers) == 3 and numbers[2] == 0):
        raise ConfigError(f"the index {index!r} is not a slice; write for example ':100' or '::10'")
    return slice(*numbers)

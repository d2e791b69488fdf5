"""Choosing among frames, whether they are in memory or stay in a store."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import Frame
from keel.atoms.store.frames import StoredFrames
from keel.errors import KeelWarning

MOST = 10_000
"""Number of frames of a store that are used where a sample represents all."""
OF_EACH_ELEMENT = 20
"""Least number of frames of each element among them, if there are that many."""


def select(frames: Sequence[Frame], indices: Sequence[int] | NDArray[Any]) -> Sequence[Frame]:
    """Return some of the frames by their numbers; those of a store stay there."""
    return frames.take(indices) if isinstance(frames, StoredFrames) else [frames[i] for i in indices]


def any_stay(parts: Iterable[Sequence[Frame]]) -> bool:
    """Return whether some frames stay in a store."""
    return any(isinstance(frames, StoredFrames) for frames in parts)


def joined(frames: Sequence[Frame], others: Sequence[Frame]) -> Sequence[Frame]:
    """Return the frames of both; those of a store stay there."""
    return frames + others if isinstance(frames, StoredFrames) else [*frames, *others]


def have(frames: Sequence[Frame], label: str) -> NDArray[np.bool_]:
    """Return which frames carry a label, shape (F,)."""
    if isinstance(frames, StoredFrames):
        return frames.present(label)
    return np.array([getattr(frame, label) is not None for frame in frames], dtype=bool)


def sizes(frames: Sequence[Frame]) -> NDArray[Any]:
    """Return the number of atoms of each frame, shape (F,)."""
    if isinstance(frames, StoredFrames):
        return frames.counts()
    return np.array([len(frame) for frame in frames], dtype=int)


def are_periodic(frames: Sequence[Frame]) -> NDArray[np.bool_]:
    """Return which frames are periodic in all three directions, shape (F,)."""
    if isinstance(frames, StoredFrames):
        return np.asarray(frames.periodic_in().all(axis=1))
    return np.array([bool(frame.pbc.all()) for frame in frames], dtype=bool)


def infos(frames: Sequence[Frame]) -> Iterator[Mapping[str, Any]]:
    """Yield the ``info`` of each frame."""
    return frames.infos() if isinstance(frames, StoredFrames) else (frame.info for frame in frames)


def elements_in(frames: Sequence[Frame]) -> list[int]:
    """Return the atomic numbers that occur, ascending."""
    if isinstance(frames, StoredFrames):
        return list(frames.elements)
    return sorted({int(z) for frame in frames for z in set(frame.numbers.tolist())})


def made_of(frames: Sequence[Frame], elements: Sequence[int]) -> Sequence[Frame]:
    """Return the frames with no other elements than these."""
    others = np.setdiff1d(np.arange(119), elements)
    if not isinstance(frames, StoredFrames):
        return [frame for frame in frames if not np.isin(frame.numbers, others).any()]
    found = np.zeros(len(frames), dtype=bool)
    for own, there in frames.elements_of_each():
        found[own] = ~there[:, others].any(axis=1)
    return frames.take(np.flatnonzero(found))


def left_out(frames: Sequence[Frame], parts: Sequence[Sequence[Frame]]) -> Sequence[Frame]:
    """Return the frames that are in none of the given parts."""
    if isinstance(frames, StoredFrames):
        held = np.concatenate([np.zeros(0), *(part.places for part in parts if isinstance(part, StoredFrames))])
        return frames.take(np.flatnonzero(~np.isin(np.asarray(frames.places), held)))
    there = {id(frame) for part in parts for frame in part}
    return [frame for frame in frames if id(frame) not in there]


def in_memory(frames: Sequence[Frame], what: str, most: int = MOST, seed: int = 0) -> list[Frame]:
    """Return frames as a list; of a store with more than ``most``, draw this many at random, with a warning.

    It has at least 20 frames of each element, or all that exist.

    Parameters
    ----------
    what
        Their use, as the beginning of a sentence: ``"the EAM is fitted to"``.
    seed
        Of the choice.

    Warns
    -----
    KeelWarning
        If not all are taken.
    """
    if not isinstance(frames, StoredFrames) or len(frames) <= most:
        return list(frames)
    chosen = frames.take(np.sort(drawn(frames, most, seed)))
    said = f"{what} {len(chosen):,} of the {len(frames):,} frames of the store, drawn with seed {seed}"
    warnings.warn(said, KeelWarning, stacklevel=2)
    return list(chosen)


def drawn(frames: StoredFrames, most: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers of at most this many frames, drawn at random, including some of each element."""
    rng = np.random.default_rng([seed, len(frames)])
    keys = rng.random(len(frames), dtype=np.float32)
    best: dict[int, NDArray[np.int64]] = {}
    for own, there in frames.elements_of_each():
        for z in np.flatnonzero(there.any(axis=0)).tolist():
            members = np.concatenate([best.get(z, own[:0]), own[there[:, z]]])
            best[z] = members[np.argsort(keys[members], kind="stable")[:OF_EACH_ELEMENT]]
    # Those that must be there have the smallest keys.
    for members in best.values():
        keys[members] -= 1.0
    return np.argpartition(keys, most)[:most].astype(np.int64)

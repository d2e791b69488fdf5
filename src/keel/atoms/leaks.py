"""Data in two parts of a split: errors on them measure what a potential remembers, not what it can predict."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import Frame
from keel.atoms.named_parts import NOUNS
from keel.atoms.remarks import frames_of
from keel.atoms.selecting import any_stay, infos
from keel.atoms.soundness.repeats import hashes, matching, repeats
from keel.atoms.splits import Split, group_members
from keel.atoms.store.frames import StoredFrames
from keel.progress import bar

PAIRS = (("test", "train"), ("test", "validation"), ("validation", "train"))
RUN = re.compile(r"(^|_)(traj|trajectory|run|relaxation)(_?(id|name))?$", re.IGNORECASE)
"""Keys that name the run from which a frame was taken."""


def shared_structures(parts: Split) -> Iterator[str]:
    """Yield a sentence for each pair of parts that contain the same structures (:mod:`keel.atoms.soundness.repeats`).

    For frames of a store, 16 bytes each are in memory.
    """
    found: dict[tuple[str, str], set[int]] = defaultdict(set)
    same_in = _same_in_store if any_stay(parts.divided.values()) else _same_in_memory
    for members in same_in(parts.divided):
        there = {part for part, _ in members}
        for part, other in PAIRS:
            if {part, other} <= there:
                found[part, other].update(number for name, number in members if name == part)
    for part, other in PAIRS:
        if numbers := found[part, other]:
            yield (
                f"the {NOUNS[part]} part has {frames_of(len(numbers))} of structures that are also in the "
                f"{NOUNS[other]} part, such as {parts.divided[part][min(numbers)].source}: errors on them measure "
                "memory, not prediction"
            )


Members = list[tuple[str, int]]
"""Frames of one structure: the part of each and its number in it."""


def _same_in_memory(divided: Mapping[str, Sequence[Frame]]) -> Iterator[Members]:
    where = {id(frame): (part, k) for part, frames in divided.items() for k, frame in enumerate(frames)}
    same: dict[int, Members] = {}
    for first, again in repeats([frame for frames in divided.values() for frame in frames]):
        same.setdefault(id(first), [where[id(first)]]).append(where[id(again)])
    yield from same.values()


def _same_in_store(divided: Mapping[str, Sequence[Frame]]) -> Iterator[Members]:
    """Yield repeated structures. Frames with a common hash are read and compared, if they are in two parts."""
    names, counts = list(divided), [len(frames) for frames in divided.values()]
    bare = [f.structures() if isinstance(f, StoredFrames) else f for f in divided.values()]
    ends = np.cumsum(counts)
    found = np.fromiter(_hashed(bare, int(ends[-1])), np.dtype((np.uint64, 2)), int(ends[-1]))
    for column in found.T:
        for group in _alike(column):
            owners = np.searchsorted(ends, group, side="right")
            if (owners == owners[0]).all():
                continue
            same: list[tuple[Frame, Members]] = []
            for owner, index in zip(owners.tolist(), group.tolist(), strict=True):
                number = index - (int(ends[owner]) - counts[owner])
                frame = bare[owner][number]
                known = next((members for one, members in same if matching(one, frame) is not None), None)
                if known is None:
                    same.append((frame, known := []))
                known.append((names[owner], number))
            yield from (members for _, members in same)


def _hashed(parts: Sequence[Sequence[Frame]], total: int) -> Iterator[tuple[int, int]]:
    done = 0
    with bar("looking for repeats", total) as advance:
        for frames in parts:
            for pair in hashes(frames):
                yield pair
                done += 1
                if done % 1000 == 0:
                    advance(done, total)


def _alike(values: NDArray[np.uint64]) -> Iterator[NDArray[np.int64]]:
    """Yield the numbers of values that are equal, where there are several, in ascending order."""
    order = np.argsort(values, kind="stable")
    again = np.flatnonzero(values[order[1:]] == values[order[:-1]])
    for run in np.split(again, np.flatnonzero(np.diff(again) > 1) + 1) if len(again) else ():
        yield order[run[0] : run[-1] + 2]


def shared_runs(parts: Split) -> Iterator[str]:
    """Yield a sentence for each pair of parts with frames of the same run, by the keys that usually name one."""
    for key in _run_keys(parts.divided.values()):
        runs = {part: group_members(frames, key) for part, frames in parts.divided.items()}
        if len(set().union(*runs.values())) == 1:
            continue
        for part, other in PAIRS:
            both = [name for name in runs[part] if name in runs[other]]
            if both:
                count = frames_of(sum(len(runs[part][name]) for name in both))
                yield (
                    f"the {NOUNS[part]} part has {count} of runs that are also in the {NOUNS[other]} part, such as "
                    f"{key} {both[0]}: neighbouring frames of a run are similar"
                )


def _run_keys(parts: Iterable[Sequence[Frame]]) -> list[str]:
    """Return the keys that name a run and that every frame has."""
    keys: set[str] | None = None
    for info in (info for frames in parts for info in infos(frames)):
        keys = set(filter(RUN.search, info)) if keys is None else keys & info.keys()
        if not keys:
            break
    return sorted(keys or ())

"""Dividing frames into training, validation and test parts: by frame, by group, or by time.

Frames of one relaxation or MD run resemble each other, so where generalisation is claimed whole groups (a framework, a
trajectory) or later times must be held out; a random split of frames measures memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Frame
from keel.atoms.selecting import infos, select
from keel.errors import ConfigError, DataError
from keel.showing import Facts, Shown

T = TypeVar("T")
Keys = str | Sequence[str]
Size = int | float | str | list[str]
"""Size of a part: a number or share of frames or groups, or the names of its groups."""
PARTS = ("train", "validation", "test")


@dataclass(frozen=True, repr=False)
class Split(Shown):
    """Three parts without a common frame, each in the order of the frames given.

    Parameters
    ----------
    train, validation, test
        The parts.
    atoms
        Atoms alone, which belong to none of them (:mod:`keel.atoms.isolated`).
    """

    train: Sequence[Frame]
    validation: Sequence[Frame]
    test: Sequence[Frame]
    atoms: Sequence[Frame] = field(default_factory=list)

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        return {name: f"{len(part):,}" for name, part in self.parts.items()}

    @property
    def parts(self) -> dict[str, Sequence[Frame]]:
        """The three parts by name, and the atoms alone where there are any."""
        return {name: part for name, part in vars(self).items() if name in PARTS or len(part)}

    @property
    def divided(self) -> dict[str, Sequence[Frame]]:
        """The three parts by name."""
        return {name: getattr(self, name) for name in PARTS}

    def __str__(self) -> str:
        return f"{len(self.train)} training, {len(self.validation)} validation and {len(self.test)} test frames"


def split(
    frames: Structures,
    train: float | int | None,
    validation: float | int,
    test: float | int | None = None,
    *,
    by: Keys | None = None,
    seed: int = 0,
) -> Split:
    """Divide frames at random, by frame or by whole groups.

    Parameters
    ----------
    frames
        All frames.
    train, validation, test
        Shares (floats in [0, 1]) or numbers (ints) of frames, or of groups with ``by``; one of ``train`` and ``test``
        may be None and takes the rest. What all three leave over is not used.
    by
        Key in ``Frame.info`` that names the group (``"topology"``, a trajectory id); no group is divided. Of several
        keys the first that a frame has names its group.
    seed
        Same seed, same split, whatever the order of the groups.

    Raises
    ------
    ConfigError
        If the sizes ask for more frames or groups than there are, or leave a requested part empty.
    DataError
        If there are no frames, or a frame lacks the key ``by``.

    Examples
    --------
    >>> import keel
    >>> from keel.atoms.splits import split
    >>> print(split(keel.datasets.phosphorus(), 0.8, 0.1, seed=1))
    622 training, 78 validation and 77 test frames
    """
    frames = as_frames(frames)
    rng = np.random.default_rng(seed)
    if by is None:
        counts = _counts(len(frames), (train, validation, test), "frames")
        return Split(*(select(frames, np.sort(part)) for part in _cut(rng.permutation(len(frames)), counts)))
    groups = group_members(frames, by)
    keys = sorted(groups)
    counts = _counts(len(keys), (train, validation, test), f"groups of {by!r}")
    held = [[keys[i] for i in part] for part in _cut(rng.permutation(len(keys)), counts)]
    return Split(*(select(frames, sorted(i for name in names for i in groups[name])) for names in held))


def split_in_time(
    frames: Structures, train: float | int, validation: float | int = 0, *, by: Keys | None = None, gap: int = 0
) -> Split:
    """Train on the start of each run, validate on what follows, test on the rest.

    Parameters
    ----------
    frames
        All frames, in the order of the runs.
    train, validation
        Shares or numbers of the frames of each run.
    by
        Key in ``Frame.info`` that names the run; all frames are one run if None.
    gap
        Frames of each run left out before the test part, because they resemble the last ones before it.

    Raises
    ------
    ConfigError
        If nothing of a run would be left for the test.
    DataError
        If there are no frames, or a frame lacks the key ``by``.

    Examples
    --------
    >>> import keel
    >>> from keel.atoms.splits import split_in_time
    >>> print(split_in_time(keel.datasets.phosphorus(), 20, 10, by="phase"))
    40 training, 20 validation and 717 test frames
    """
    frames = as_frames(frames)
    runs = list(group_members(frames, by).values()) if by is not None else [range(len(frames))]
    train_, validation_, test_ = list[int](), list[int](), list[int]()
    for run in runs:
        n_train, n_validation, n_test = _counts(len(run), (train, validation, None), "frames of a run")
        if gap < 0 or n_test <= gap:
            raise ConfigError(f"a run of {len(run)} frames has none left for the test; use fewer for training")
        train_.extend(run[:n_train])
        validation_.extend(run[n_train : n_train + n_validation])
        test_.extend(run[n_train + n_validation + gap :])
    return Split(*(select(frames, own) for own in (train_, validation_, test_)))


def sample(frames: Structures, number: int, *, by: Keys | None = None, seed: int = 0) -> Sequence[Frame]:
    """Return ``number`` frames drawn at random, as evenly from each group as they allow, in the order given.

    Parameters
    ----------
    frames
        Frames, ``ase.Atoms`` or files (:func:`keel.atoms.as_frames`).
    number
        How many to draw.
    by
        Key in ``Frame.info`` that names the group; of several keys the first that a frame has; None: no groups.
    seed
        Same seed, same frames.

    Raises
    ------
    ConfigError
        If there are fewer.
    """
    frames = as_frames(frames)
    if not 0 < number <= len(frames):
        raise ConfigError(f"{number} frames cannot be drawn from {len(frames)}")
    rng = np.random.default_rng(seed)
    if by is None:
        return select(frames, np.sort(rng.permutation(len(frames))[:number]))
    members = group_members(frames, by)
    shuffled = [rng.permutation(members[key]).tolist() for key in sorted(members)]
    # Round by round: the k-th of every group before the (k+1)-th of any.
    queue = sorted((k, g, i) for g, group in enumerate(shuffled) for k, i in enumerate(group))
    return select(frames, sorted(i for _, _, i in queue[:number]))


def group_frames(frames: Structures, by: Keys) -> dict[str, Sequence[Frame]]:
    """Return the frames of each value of ``info[by]``, in the order given; of several keys the first present counts.

    Raises
    ------
    DataError
        If a frame has no such key (says which keys it has).
    """
    frames = as_frames(frames)
    return {name: select(frames, own) for name, own in group_members(frames, by).items()}


def group_members(frames: Sequence[Frame], by: Keys) -> dict[str, list[int]]:
    """Return the numbers of the frames of each group, in the order given; of a store nothing else is read."""
    keys = [by] if isinstance(by, str) else by
    groups: dict[str, list[int]] = {}
    for i, info in enumerate(infos(frames)):
        name = next((str(info[key]) for key in keys if key in info), None)
        groups.setdefault(group_of(frames[i], by) if name is None else name, []).append(i)
    return groups


def group_of(frame: Frame, by: Keys) -> str:
    """Return the group of a frame, as text; DataError if it has no such key."""
    keys = [by] if isinstance(by, str) else by
    for key in keys:
        if key in frame.info:
            return str(frame.info[key])
    there, wanted = ", ".join(sorted(frame.info)) or "none", " or ".join(map(repr, keys))
    raise DataError(f"{frame.source}: it has no {wanted} to group by; its keys are {there}")


def _counts(total: int, sizes: tuple[float | int | None, ...], what: str) -> list[int]:
    """Whole numbers for sizes that are shares, numbers or None (the rest)."""
    if not total:
        raise DataError("there are no frames to split")
    if sizes.count(None) > 1:
        raise ConfigError("the split gives no size for two parts; give the size of one of them")
    counts = [_count(total, size, part) for size, part in zip(sizes, PARTS, strict=True)]
    if None in sizes:
        counts[sizes.index(None)] = total - sum(counts)
    # Rounding of shares that add up to one may ask for one too many.
    if sum(counts) == total + 1 and any(isinstance(size, float) for size in sizes):
        counts[int(np.argmax(counts))] -= 1
    if min(counts) < 0 or sum(counts) > total:
        raise ConfigError(f"the split asks for more than the {total} {what} available")
    for size, count, part in zip(sizes, counts, PARTS, strict=True):
        if size and not count:
            raise ConfigError(f"the {part} part of the split is empty; {total} {what} are too few for {size:g}")
    if sizes[0] is None and not counts[0]:
        raise ConfigError(f"the split leaves none of the {total} {what} for training")
    return counts


def _count(total: int, size: float | int | None, part: str) -> int:
    if size is None:
        return 0
    if size < 0 or (isinstance(size, float) and not size <= 1.0):
        raise ConfigError(f"the size {size} of the {part} part is neither a share in [0, 1] nor a whole number")
    return int(total * size + 0.5) if isinstance(size, float) else int(size)


def _cut(members: NDArray[np.int64], counts: Sequence[int]) -> list[NDArray[np.int64]]:
    return [members[end - n : end] for n, end in zip(counts, accumulate(counts), strict=True)]


def evenly(items: Sequence[T], n: int) -> list[T]:
    """Return at most n items, evenly spread over the sequence."""
    n = min(n, len(items))
    return [items[(2 * k + 1) * len(items) // (2 * n)] for k in range(n)]

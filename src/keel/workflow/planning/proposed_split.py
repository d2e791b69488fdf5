"""How frames are divided by default: as stated in the files, by group, in time, or at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from keel.atoms.frame import Frame
from keel.atoms.named_parts import NOUNS
from keel.atoms.splits import group_frames
from keel.atoms.usual_splits import usual_split
from keel.config import SplitSettings
from keel.errors import DataError
from keel.wording import listed
from keel.workflow.division import divide

GROUPS = (
    "topology", "mptrj_traj_id", "trajectory_id", "traj_id", "trajectory", "traj", "relaxation", "run_id", "run", "src",
    "mp_id", "material_id", "material", "structure_id", "structure", "framework", "polymorph", "system", "phase",
    "group", "config_type",
)  # fmt: skip
"""Keys of ``Frame.info`` that usually name what frames have in common: a run, a material, a kind; the most specific
first."""
FEWEST_GROUPS = 5
"""Fewest groups: with fewer, the test data would be unlike all training data."""
SHORTEST_RUN = 20
"""Fewest frames from whose order anything can be concluded."""
NEIGHBOURING = 0.5
"""Root mean square displacement from one frame of a run to the next, relative to that over half of the run."""
VALIDATION, TEST, GAP = 0.1, 0.2, 0.05
"""Shares of the frames or groups."""
MOST_FRAMES = {"train": 1000, "validation": 50, "test": 200}
"""Largest number of frames of each part: more would take time, mostly for fitting the teacher, without improving the
comparison."""


class ProposedSplit(NamedTuple):
    """The settings of a split, and the reason for them in plain words."""

    settings: dict[str, Any]
    reason: str


def proposed_split(frames: Sequence[Frame]) -> ProposedSplit:
    """Return how frames are best divided, judged by their own information.

    A division that the file brings along (``split=train``) counts first. Then groups are kept whole where a usual key
    names at least :data:`FEWEST_GROUPS` of them; one run, or several, are cut in time; else frames are drawn at random.

    Raises
    ------
    DataError
        If there are fewer than three frames.
    """
    if len(frames) < 3:
        raise DataError(f"{len(frames)} labelled frames are too few to train, validate and test; give at least three")
    found = _usual(frames) or _by_group(frames) or _in_time(frames) or _at_random(frames)
    parts = divide({"train": frames}, SplitSettings(**found.settings)).split
    more = {part: len(own) for part, own in parts.divided.items() if len(own) > MOST_FRAMES[part]}
    thinned = [f"{MOST_FRAMES[part]:,} of the {number:,} {NOUNS[part]} frames" for part, number in more.items()]
    also = f"; {listed(thinned)} are used, drawn evenly" if thinned else ""
    return ProposedSplit(found.settings | {f"{part}_frames": MOST_FRAMES[part] for part in more}, found.reason + also)


def learnable(frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames whose elements are all in the training part of the proposed split.

    An element that is in no training frame cannot be predicted, and its frames would prevent all comparisons.
    """
    left = list(frames)
    while True:
        settings = SplitSettings(**proposed_split(left).settings)
        known = {int(z) for f in divide({"train": left}, settings).split.train for z in f.numbers}
        kept = [f for f in left if known.issuperset(f.numbers.tolist())]
        if len(kept) == len(left):
            return left
        left = kept


def _usual(frames: Sequence[Frame]) -> ProposedSplit | None:
    """The split stated in the file itself."""
    found = usual_split(frames)
    if found is None:
        return None
    names = {part: own[0] if len(own) == 1 else list(own) for part, own in found.parts.items()}
    drawn = {part: share for part, share in (("validation", VALIDATION), ("test", TEST)) if part not in names}
    return ProposedSplit({"by": found.by, **names, **drawn}, f"{found.by} of each frame states its use")


def _by_group(frames: Sequence[Frame]) -> ProposedSplit | None:
    """Groups stay whole, so that test frames are unlike the training frames."""
    keys = _covering(frames)
    sizes = [len(group) for group in group_frames(frames, keys).values()] if keys else []
    if len(sizes) < FEWEST_GROUPS or max(sizes) > len(frames) / 2:
        return None
    validation, test = (max(1, round(share * len(sizes))) for share in (VALIDATION, TEST))
    counts = {"train": len(sizes) - validation - test, "validation": validation, "test": test}
    what = f"frames of the same {' or '.join(keys)} are similar, so each stays in one part"
    return ProposedSplit({"by": keys if len(keys) > 1 else keys[0], **counts}, what)


def _covering(frames: Sequence[Frame]) -> list[str]:
    """Return the usual keys that distinguish frames, as few as name the group of every frame; empty if none do."""
    keys: list[str] = []
    left = list(frames)
    for key in GROUPS:
        if len({str(f.info[key]) for f in left if key in f.info}) > 1:
            keys.append(key)
            left = [f for f in left if key not in f.info]
    return [] if left else keys


def _in_time(frames: Sequence[Frame]) -> ProposedSplit | None:
    """The beginning of a run is for training, its end for testing."""
    for key, runs in _candidates(frames):
        if all(is_run(run) for run in runs):
            shortest = min(map(len, runs))
            counts = {"train": round((1 - VALIDATION - TEST) * shortest), "validation": round(VALIDATION * shortest)}
            settings = {"by": "start", **({"group": key} if key else {}), **counts, "gap": round(GAP * shortest)}
            what = f"each {key} is one run" if key else "the frames are from one run"
            return ProposedSplit(settings, f"{what}; its beginning is for training, its end for testing")
    return None


def _candidates(frames: Sequence[Frame]) -> Iterator[tuple[str | None, Sequence[Sequence[Frame]]]]:
    """Yield possible runs, and the key that names them; several come first, because in a row they look like one."""
    for key in GROUPS:
        if all(key in f.info for f in frames):
            runs = list(group_frames(frames, key).values())
            if 1 < len(runs) < FEWEST_GROUPS:
                yield key, runs
    yield None, [list(frames)]


def is_run(frames: Sequence[Frame]) -> bool:
    """Return whether frames look like successive frames of a simulation.

    All have the same atoms, which move less from one frame to the next than over half of the run.
    """
    first = frames[0]
    if len(frames) < SHORTEST_RUN or any(not np.array_equal(f.numbers, first.numbers) for f in frames):
        return False
    half = len(frames) // 2
    near = np.median([displacement(a, b) for a, b in pairwise(frames)])
    far = np.median([displacement(a, b) for a, b in zip(frames[:-half], frames[half:], strict=True)])
    return bool(0.0 < near < NEIGHBOURING * far)


def displacement(first: Frame, second: Frame) -> float:
    """Return the root mean square displacement between two frames of the same atoms in angstrom, to nearest images."""
    steps = second.positions - first.positions
    if first.pbc.any():
        steps = steps - (np.round(steps @ np.linalg.pinv(first.cell)) * first.pbc) @ first.cell
    return float(np.sqrt(np.mean(np.sum(steps**2, axis=1))))


def _at_random(frames: Sequence[Frame]) -> ProposedSplit:
    validation, test = (max(1, round(share * len(frames))) for share in (VALIDATION, TEST))
    counts = {"train": len(frames) - validation - test, "validation": validation, "test": test}
    reason = (
        "nothing shows which frames belong together, so they are drawn at random; if some are from the same run, "
        "label each with it (run=NAME), or test errors will look too small"
    )
    return ProposedSplit({"by": "frame", **counts}, reason)

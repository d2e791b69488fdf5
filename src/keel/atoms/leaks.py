"""What stands in two parts of a split: errors on it tell what a potential remembers, not what it has understood."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from keel.atoms.frame import Frame
from keel.atoms.named_parts import NOUNS
from keel.atoms.remarks import frames_of
from keel.atoms.selecting import any_stay
from keel.atoms.soundness.repeats import repeats
from keel.atoms.splits import Split, group_frames

PAIRS = (("test", "train"), ("test", "validation"), ("validation", "train"))
RUN = re.compile(r"(^|_)(traj|trajectory|run|relaxation)(_?(id|name))?$", re.IGNORECASE)
"""Keys that name the run which a frame was taken from."""


def shared_structures(parts: Split) -> Iterator[str]:
    """Yield a sentence for each two parts in which the same structures stand (:mod:`keel.atoms.soundness.repeats`)."""
    if any_stay(parts.divided.values()):
        yield "the data stay in a store: whether a structure or a run stands in two parts is not looked for"
        return
    where = {id(frame): part for part, frames in parts.divided.items() for frame in frames}
    twins: dict[int, list[Frame]] = defaultdict(list)
    for first, again in repeats([frame for frames in parts.divided.values() for frame in frames]):
        twins[id(first)] = [*(twins[id(first)] or [first]), again]
    for part, other in PAIRS:
        known = (same for same in twins.values() if any(where[id(f)] == other for f in same))
        found = [f for same in known for f in same if where[id(f)] == part]
        if found:
            yield (
                f"the {NOUNS[part]} part has {frames_of(len(found))} of structures that are in the {NOUNS[other]} part "
                f"too, such as {found[0].source}: errors there tell what is remembered"
            )


def shared_runs(parts: Split) -> Iterator[str]:
    """Yield a sentence for each two parts with frames of the same run, by the keys that usually name one."""
    if any_stay(parts.divided.values()):
        return
    everything = [frame for frames in parts.divided.values() for frame in frames]
    keys = set.intersection(*(set(frame.info) for frame in everything)) if everything else set()
    for key in sorted(filter(RUN.search, keys)):
        runs = {part: group_frames(frames, key) for part, frames in parts.divided.items()}
        if len(set().union(*runs.values())) == 1:
            continue
        for part, other in PAIRS:
            both = [name for name in runs[part] if name in runs[other]]
            if both:
                count = frames_of(sum(len(runs[part][name]) for name in both))
                yield (
                    f"the {NOUNS[part]} part has {count} of runs that are in the {NOUNS[other]} part too, such as "
                    f"{key} {both[0]}: neighbours in a run resemble each other"
                )

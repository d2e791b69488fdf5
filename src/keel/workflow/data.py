"""The data of a run: read and divided as the configuration says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np

from keel.atoms.elements import atomic_number
from keel.atoms.frame import Frame
from keel.atoms.partial import LabelledSet
from keel.atoms.read import read
from keel.atoms.splits import Keys, Split, sample, split, split_in_time
from keel.config import DataSettings, SplitSettings
from keel.datasets import phosphorus
from keel.errors import ConfigError


def read_data(settings: DataSettings, base: Path) -> list[Frame]:
    """Return the labelled frames of all files; ``"phosphorus"`` is the embedded set, paths start from ``base``.

    Raises
    ------
    ConfigError
        If no frame is made of the chosen elements.
    """
    frames: list[Frame] = []
    for name in settings.files:
        frames += phosphorus() if name == "phosphorus" else read(base / name)
    if settings.elements is None:
        return frames
    chosen = [atomic_number(element) for element in settings.elements]
    found = [frame for frame in frames if np.isin(frame.numbers, chosen).all()]
    if not found:
        raise ConfigError(f"data.elements: none of {len(frames)} frames is made of {', '.join(settings.elements)}")
    return found


def split_frames(frames: Sequence[Frame], settings: SplitSettings) -> Split:
    """Divide the labelled frames, and thin out each part to its number of frames; atoms alone are set apart before.

    Raises
    ------
    DataError
        If no frame has an energy, or none has forces.
    """
    material = LabelledSet(frames)
    material.require(("energy", "forces"))
    by, frames = group_key(settings), material.labelled
    if settings.by == "start":
        parts = split_in_time(frames, settings.train, settings.validation, by=by, gap=settings.gap)
    else:
        parts = split(frames, settings.train, settings.validation, settings.test, by=by, seed=settings.seed)
    thinned = (
        part if number is None or number >= len(part) else sample(part, number, by=by, seed=settings.seed)
        for part, number in (
            (parts.train, settings.train_frames),
            (parts.validation, settings.validation_frames),
            (parts.test, settings.test_frames),
        )
    )
    return replace(Split(*thinned), atoms=material.atoms)


def group_key(settings: SplitSettings) -> Keys | None:
    """Return the keys of the frames' info that name their group, or None."""
    return settings.group if settings.by == "start" else None if settings.by == "frame" else settings.by


def frequent_pairs(frames: Iterable[Frame], number: int | None = None) -> list[tuple[int, int]]:
    """Return the pairs of elements that most frames hold, or all pairs of the elements, by atomic number."""
    sets = [sorted(set(frame.numbers.tolist())) for frame in frames]
    counts = Counter(pair for elements in sets for pair in combinations_with_replacement(elements, 2))
    everything = combinations_with_replacement(sorted(set().union(*sets)), 2)
    # Of equal counts the lighter pair.
    ranked = sorted(everything, key=lambda pair: (-counts[pair], pair))
    return sorted(ranked[:number])


def describe_split(settings: SplitSettings) -> str:
    """Return one sentence that says how the data were divided."""
    if settings.by == "start":
        of_each = f" of each {settings.group}" if settings.group else ""
        return f"The first frames{of_each} train, the next choose the weights, the rest test."
    if settings.by == "frame":
        return "Frames were drawn at random; neighbouring frames of one run may stand in different parts."
    keys = settings.by if isinstance(settings.by, str) else " or ".join(settings.by)
    return f"Divided by {keys}: none of the test was trained on."

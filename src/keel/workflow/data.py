"""The data of a run: read and divided as the configuration says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keel.atoms.frame import Frame
from keel.atoms.read import read
from keel.atoms.splits import Split, sample, split, split_in_time
from keel.config import DataSettings, SplitSettings
from keel.datasets import phosphorus


def read_data(settings: DataSettings, base: Path) -> list[Frame]:
    """Return the labelled frames of all files; ``"phosphorus"`` is the embedded set, paths start from ``base``."""
    frames: list[Frame] = []
    for name in settings.files:
        frames += phosphorus() if name == "phosphorus" else read(base / name)
    return frames


def split_frames(frames: Sequence[Frame], settings: SplitSettings) -> Split:
    """Divide the frames, and thin out each part to its number of frames."""
    if settings.by == "start":
        parts = split_in_time(frames, settings.train, settings.validation, by=settings.group, gap=settings.gap)
    else:
        by = None if settings.by == "frame" else settings.by
        parts = split(frames, settings.train, settings.validation, settings.test, by=by, seed=settings.seed)
    by = settings.group if settings.by == "start" else by
    thinned = (
        part if number is None or number >= len(part) else sample(part, number, by=by, seed=settings.seed)
        for part, number in (
            (parts.train, settings.train_frames),
            (parts.validation, settings.validation_frames),
            (parts.test, settings.test_frames),
        )
    )
    return Split(*thinned)


def describe_split(settings: SplitSettings) -> str:
    """Return one sentence that says how the data were divided."""
    if settings.by == "start":
        of_each = f" of each {settings.group}" if settings.group else ""
        return f"The first frames{of_each} train, the next choose the weights, the rest test."
    if settings.by == "frame":
        return "Frames were drawn at random; neighbouring frames of one run may stand in different parts."
    return f"Divided by {settings.by}: no {settings.by} of the test was trained on."

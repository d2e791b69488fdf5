"""How the data of a run are divided into training, validation and test parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial, reduce
from pathlib import Path
from typing import Any

from keel.atoms.census import group_keys, take_census
from keel.atoms.elements import symbol
from keel.atoms.frame import Frame
from keel.atoms.leaks import shared_runs, shared_structures
from keel.atoms.named_parts import NOUNS, check_counted, named, split_by_name, whereabouts
from keel.atoms.partial import LabelledSet
from keel.atoms.remarks import frames_of
from keel.atoms.selecting import elements_in, joined, left_out
from keel.atoms.splits import PARTS, Keys, Size, Split, group_frames, group_of, sample, split, split_in_time
from keel.atoms.store.frames import StoredFrames
from keel.atoms.store.stretches import stretches
from keel.atoms.usual_splits import usual_split
from keel.config import SplitSettings
from keel.errors import ConfigError, DataError
from keel.fitting.judge import judge
from keel.results.made import DataDescription
from keel.wording import counted, listed, shortened

SHARE = 0.1
"""Default share of the data for validation and for the test."""
TRAINING_SHARE = 0.8
"""Shares of each run, if its start trains."""

JUDGING = 1000
"""Default number of frames of a store for validation and for the test."""


@dataclass(frozen=True)
class Division:
    """The data of a run, divided.

    Parameters
    ----------
    split
        The parts.
    settings
        The settings in use: those that were given, or those that the files suggest.
    files
        Parts that have files of their own, if any has.
    notes
        What a user should know about it, in sentences.
    """

    split: Split
    settings: SplitSettings
    files: frozenset[str]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything JSON-compatible: sizes, words, and the groups of each part."""
        numbers = {name: len(part) for name, part in self.split.parts.items()}
        how = "file" if self.files else self.settings.by
        name_of = _file_of if self.files else _group_of(self.settings)
        groups = [] if name_of is None else whereabouts(self.split, name_of)
        return {**numbers, "by": how, "description": _description(self.settings, self.files), "groups": groups}


def described(division: Division, frames: Sequence[Frame]) -> DataDescription:
    """Return the description of the data in a run folder: counts of all frames, and how they were divided."""
    split = division.to_dict()
    split["leaks"] = [*shared_structures(division.split), *shared_runs(division.split)]
    split["sources"] = {name: _sources(part) for name, part in division.split.parts.items()}
    census = take_census(frames)
    judged = judge(stretches(frames), (census.forces, census.stress))
    found = {**replace(census, findings=(*census.findings, *judged.findings)).to_dict(), "judge": asdict(judged)}
    return DataDescription(found, split)


def _sources(frames: Sequence[Frame]) -> list[str]:
    """Return the names of frames; those of a store, which may be millions, by its name."""
    return [*map(str, frames.store.paths)] if isinstance(frames, StoredFrames) else [f.source for f in frames]


def described_anew(folder: Path, division: Division) -> DataDescription:
    """Return the description in a folder, renewed if another split with the same parts described them differently."""
    found = DataDescription.read(folder)
    known = replace(found, split={**found.split, **division.to_dict()})
    if known.split != found.split:
        known.write(folder)
    return known


def divide(material: Mapping[str, Sequence[Frame]], settings: SplitSettings | None) -> Division:
    """Divide labelled frames, and thin out each part to its number of frames; atoms alone are set apart before.

    Parameters
    ----------
    material
        Frames of each part that has files of its own; what ``train`` has is divided among the others.
    settings
        How to divide; None: as stated in the files, or else at random.

    Raises
    ------
    ConfigError
        If a part is left empty, or the settings do not fit the data.
    DataError
        If no frame has an energy, or none has forces, or a part has no labelled frame.
    """
    sets = {part: LabelledSet(frames) for part, frames in material.items()}
    sets["train"].require(("energy", "forces"))
    pool, files = sets["train"].labelled, frozenset(material) if len(material) > 1 else frozenset()
    chosen, notes = (settings, _not_used(pool, settings)) if settings else _suggested(pool, files)
    parts = _taken(pool, chosen, files)
    if chosen.by not in ("frame", "start") and not chosen.named:
        notes += check_counted(parts, chosen.by)
    notes += _left_out(pool, parts, chosen)
    for part in files - {"train"}:
        parts = replace(parts, **{part: sets[part].labelled})
    for part, frames in parts.divided.items():
        if not len(frames) and part != "validation":
            raise DataError(f"data: no labelled frames are left for the {NOUNS[part]} part of the split")
    thinned, more = _thinned(parts, chosen, files)
    atoms = reduce(joined, (own.atoms for own in sets.values()))
    return Division(replace(thinned, atoms=atoms), chosen, files, (*notes, *more))


def _suggested(pool: Sequence[Frame], files: Collection[str]) -> tuple[SplitSettings, list[str]]:
    """Return the default split of frames, and a sentence about it."""
    asked = [part for part in ("validation", "test") if part not in files]
    if not asked:
        return SplitSettings(), []
    usual = usual_split(pool)
    if usual is not None and any(part in usual.parts for part in asked):
        sizes = {part: list(usual.parts[part]) if part in usual.parts else SHARE for part in asked}
        settings = SplitSettings(by=usual.by, train=list(usual.train), **sizes)
        return settings, [f"no split is given; the data contain one, which is used: {usual}"]
    words = listed([f"a tenth for {'the test' if part == 'test' else part}" for part in asked])
    keys = [f"split: {{by: {key}}}" for key in group_keys(pool)]
    whole = f"; {' or '.join(shortened(keys, 3))} would keep groups whole" if keys else ""
    return SplitSettings(), [f"no split is given; at random, {words}{whole}"]


def _not_used(pool: Sequence[Frame], settings: SplitSettings) -> list[str]:
    usual = None if settings.by == "start" else usual_split(pool)
    if usual is None or usual.by in named(settings.by):
        return []
    return [f"the data contain a split of their own, which is not used: {usual}"]


def _sizes(settings: SplitSettings, files: Collection[str]) -> dict[str, Size | None]:
    """Return the sizes of the parts; None takes the rest, and a part with files of its own takes nothing."""
    sizes: dict[str, Size | None] = {part: getattr(settings, part) for part in PARTS}
    if sizes["validation"] is None:
        sizes["validation"] = SHARE
    if sizes["test"] is None and sizes["train"] is None:
        sizes["test"] = SHARE
    return sizes | {part: 0 for part in files if part != "train"}


def _taken(pool: Sequence[Frame], settings: SplitSettings, files: Collection[str]) -> Split:
    """Divide the frames of the files that train among the parts that have no files."""
    sizes, by, seed = _sizes(settings, files), group_key(settings), settings.seed
    if settings.named == ["validation"] and "test" not in files:
        raise ConfigError("data.split: validation names groups, so train or test must name groups too")
    if settings.named:
        names = settings.train if isinstance(settings.train, str | list) else None
        others = {part: sizes[part] for part in ("validation", "test")}
        try:
            return split_by_name(pool, settings.by, train=names, **others, seed=seed)
        except ConfigError as error:
            raise ConfigError(f"data.split: {error}") from None
    train, validation, test = (size if isinstance(size, int | float) else None for size in sizes.values())
    if settings.by == "start":
        return split_in_time(pool, train or TRAINING_SHARE, validation or 0, by=by, gap=settings.gap)
    # A share is one frame or group at least.
    least = 0.5 / max(1, len(pool) if by is None else len(group_frames(pool, by)))
    train, validation, test = (1 if size and size < least else size for size in (train, validation, test))
    return split(pool, train, validation or 0, test, by=by, seed=seed)


def _left_out(pool: Sequence[Frame], parts: Split, settings: SplitSettings) -> list[str]:
    """Report frames that are in no part; those of a gap in time are intended."""
    rest = left_out(pool, list(parts.divided.values()))
    if not len(rest) or settings.by == "start":
        return []
    sentence, name_of = f"{frames_of(len(rest))} of {len(pool):,} are in no part of the split", _group_of(settings)
    return [sentence if name_of is None else f"{sentence}: {counted(Counter(map(name_of, rest)).items(), 'frame')}"]


def _thinned(parts: Split, settings: SplitSettings, files: frozenset[str]) -> tuple[Split, list[str]]:
    """Return the parts with at most as many frames as the settings allow, and sentences about deviations from that.

    Remaining frames with elements that are in no training frame are set aside.
    """
    found: dict[str, Sequence[Frame]] = {}
    notes: list[str] = []
    for part, frames in parts.divided.items():
        most = getattr(settings, f"{part}_frames")
        if most is None and part != "train" and isinstance(frames, StoredFrames) and len(frames) > JUDGING:
            most = JUDGING
            notes.append(f"{JUDGING:,} of the {len(frames):,} {NOUNS[part]} frames are used; {part}_frames takes more")
        if most is None or most >= len(frames):
            found[part] = frames
        else:
            by = None if part in files - {"train"} else group_key(settings)
            found[part] = sample(frames, most, by=by, seed=settings.seed)
        if part != "train":
            found[part], remarks = _learnable(part, found[part], found["train"])
            notes += remarks
        if most is not None and most > len(frames):
            notes.append(
                f"data.split.{part}_frames asks for {most:,} frames, but the {NOUNS[part]} part has {len(frames):,}: "
                "all are used"
            )
    # Test frames are read many times.
    return Split(**{part: own if part == "train" else list(own) for part, own in found.items()}), notes


def _learnable(part: str, frames: Sequence[Frame], training: Sequence[Frame]) -> tuple[Sequence[Frame], list[str]]:
    """Return the frames of a part whose elements are all in the training frames, and a sentence about the others.

    Nothing can be learnt about an element that is in no training frame, and the teacher does not know it.
    """
    known = set(elements_in(training))
    if known.issuperset(elements_in(frames)):
        return frames, []
    kept = [frame for frame in frames if known.issuperset(frame.numbers.tolist())]
    unknown = [symbol(z) for z in elements_in(frames) if z not in known]
    left_out, noun = frames_of(len(frames) - len(kept)), NOUNS[part]
    if not kept and part == "test":
        raise DataError(
            f"data: each of the {frames_of(len(frames))} of the {noun} part contains an element that is in no training "
            f"frame ({listed(unknown)}), and cannot be tested on; split the data differently"
        )
    return kept, [
        f"{left_out} of the {noun} part set aside: no training frame contains {' or '.join(shortened(unknown, 6))}"
    ]


def _description(settings: SplitSettings, files: Collection[str]) -> str:
    """Return in sentences how the data were split."""
    if settings.by == "start":
        of_each = f" of each {settings.group}" if settings.group else ""
        return f"The first frames{of_each} are for training, the next for choosing the weights, the rest for testing."
    keys = [] if settings.by == "frame" else [" or ".join(named(settings.by))]
    if not keys and not files:
        return "Frames were drawn at random; neighbouring frames of one run may be in different parts."
    numbers = {part: size for part, size in _sizes(settings, files).items() if isinstance(size, int | float) and size}
    drawn = [NOUNS[part] for part in numbers if part != "train"] if files or settings.named else []
    where = f" The {listed(drawn)} frames were drawn from the training data." if drawn else ""
    apart = "" if "test" in drawn else ": no test group was trained on"
    return f"Split by {' and '.join(['file'] * bool(files) + keys)}{apart}.{where}"


def _file_of(frame: Frame) -> str:
    return Path(frame.source.rpartition(", ")[0] or frame.source).name


def _group_of(settings: SplitSettings) -> Callable[[Frame], str] | None:
    return None if settings.by in ("frame", "start") else partial(group_of, by=settings.by)


def group_key(settings: SplitSettings) -> Keys | None:
    """Return the keys of the frames' info that name their group, or None."""
    return settings.group if settings.by == "start" else None if settings.by == "frame" else settings.by

"""Options of commands that split structures by the names of their groups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keel.atoms.frame import Frame
    from keel.atoms.record import LabelKeys
    from keel.atoms.splits import Size, Split
    from keel.atoms.usual_splits import UsualSplit

By = Annotated[str | None, typer.Option(help="Key of the frames whose values name their use or their group: part.")]
TrainNames = Annotated[
    str | None,
    typer.Option("--train", help="With --by, groups to train on: finetune,extra; default: those named train, or all."),
]


Only = Annotated[str | None, typer.Option(help="Only frames whose key has one of these values: part=val,test.")]
SHARE = 0.1
"""Default share of the frames for validation."""


def names_in(text: str | None) -> list[str] | None:
    """Return the names in ``val_id,val_ood``."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def share_in(text: str) -> float | None:
    """Return the number in a text, or None if there is none."""
    try:
        return float(text)
    except ValueError:
        return None


def check_only(only: str | None, data: Path | None) -> None:
    """Refuse a choice of frames where there are no frames; ConfigError."""
    from keel.errors import ConfigError

    if only is not None and data is None:
        raise ConfigError("--only selects from the frames of --data, which is not given")


def needs_key(by: str | None, train: str | None) -> None:
    """Refuse names without a key; ConfigError."""
    from keel.errors import ConfigError

    if by is None and train is not None:
        raise ConfigError("--train names groups of frames; give the key of the frames that has these names with --by")


def check_validation(by: str | None, validation: str | None) -> None:
    """Refuse a ``--validation`` that is neither a share in [0, 1) nor a file nor names of groups; ConfigError."""
    from keel.errors import ConfigError

    share = None if validation is None else share_in(validation)
    if share is not None and not 0 <= share < 1:
        raise ConfigError(f"--validation is a share of the frames in [0, 1), such as 0.1, not {validation}")
    if validation is not None and share is None and by is None and not Path(validation).exists():
        raise ConfigError(f"--validation {validation} is neither a share nor a file; names of groups need --by KEY")


def held_out(frames: Sequence[Frame], validation: str | None, seed: int, keys: LabelKeys) -> Split:
    """Return training and validation frames: a share of the frames, drawn at random, or the frames of a file."""
    from keel.atoms.partial import LabelledSet
    from keel.atoms.read import read
    from keel.atoms.splits import Split, split
    from keel.errors import DataError

    share = SHARE if validation is None else share_in(validation)
    if share is None:
        given = read([Path(str(validation))], keys=keys)
        labelled = LabelledSet(given).labelled
        if not len(labelled):
            raise DataError(f"{validation}: none of its {len(given)} frames has labels to choose the weights by")
        return Split(frames, labelled, [])
    return split(frames, 1.0 - share, share, seed=seed)


def usual_names(frames: Sequence[Frame], by: str, train: str | None) -> UsualSplit | None:
    """Return the names by which the frames are already split, unless the user names the training groups."""
    from keel.atoms.splits import group_frames
    from keel.atoms.usual_splits import sort_names

    return sort_names(by, group_frames(frames, by)) if train is None else None


def to_train(frames: Sequence[Frame], by: str, train: str | None, validation: str | None, seed: int) -> Split:
    """Return training and validation frames, by names; frames named test are left out.

    Parameters
    ----------
    frames
        All frames.
    by
        Key in ``Frame.info``.
    train, validation
        Names separated by commas, or for ``validation`` a share; None: as the frames are named.
    seed
        Seed of what is drawn.

    Raises
    ------
    ConfigError
        If a name is not that of a group, or no frame is left.
    """
    from keel.atoms.named_parts import split_by_name
    from keel.atoms.splits import split

    usual = usual_names(frames, by, train)
    share = SHARE if validation is None else share_in(validation)
    chosen: Size | None = names_in(validation) if share is None else share
    if usual is None and train is None and share is not None:
        return split(frames, 1.0 - share, share, by=by, seed=seed)
    if usual is not None and usual.validation and validation is None:
        chosen = list(usual.validation)
    trained = names_in(train) if usual is None else list(usual.train)
    return split_by_name(frames, by, train=trained, validation=chosen, test=0, seed=seed)


def to_fit(frames: Sequence[Frame], by: str, train: str | None, test: str | None) -> Split:
    """Return the frames to fit and to test on, by names; ``test`` None: all others, or those named test.

    Raises
    ------
    ConfigError
        If a name is not that of a group, or no frame is left.
    """
    from keel.atoms.named_parts import split_by_name

    usual = usual_names(frames, by, train)
    if usual is None:
        return split_by_name(frames, by, train=names_in(train), test=names_in(test))
    return split_by_name(
        frames, by, train=list(usual.train), test=names_in(test) or list(usual.test or usual.validation)
    )


def not_taken(frames: Sequence[Frame]) -> list[str]:
    """Return a sentence if the frames have a split of their own that was not asked for."""
    from keel.atoms.usual_splits import usual_split

    usual = usual_split(frames)
    return (
        []
        if usual is None
        else [f"all frames are used; they have a split of their own, which --by {usual.by} would use: {usual}"]
    )


def parts_in_sentences(frames: Sequence[Frame], parts: Split, by: str | None) -> list[str]:
    """Return sentences that state which groups are in which part, and which in none; what is in two parts."""
    from keel.atoms.leaks import shared_runs, shared_structures
    from keel.atoms.named_parts import NOUNS
    from keel.atoms.selecting import left_out
    from keel.atoms.splits import PARTS, group_members
    from keel.wording import counted

    if by is None:
        return [*not_taken(frames), *shared_structures(parts)]
    where = {NOUNS[part]: getattr(parts, part) for part in PARTS}
    where["not used"] = left_out(frames, list(parts.divided.values()))
    numbers = {what: {name: len(k) for name, k in group_members(own, by).items()} for what, own in where.items()}
    groups = [f"{what}: {counted(own.items(), 'frame')}" for what, own in numbers.items() if own]
    return [*groups, *shared_structures(parts), *shared_runs(parts)]

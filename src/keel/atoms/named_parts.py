"""Parts of data by the names of their groups: which groups are where, and which names are wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Frame
from keel.atoms.selecting import select
from keel.atoms.splits import Keys, Size, Split, group_frames, group_members, split
from keel.atoms.usual_splits import sort_names
from keel.errors import ConfigError
from keel.wording import counted

NOUNS = {"train": "training", "validation": "validation", "test": "test"}


def split_by_name(
    frames: Structures,
    by: Keys,
    *,
    train: str | Sequence[str] | None = None,
    validation: Size | None = None,
    test: Size | None = None,
    seed: int = 0,
) -> Split:
    """Divide frames by the names of their groups.

    Parameters
    ----------
    frames
        All frames.
    by
        Key in ``Frame.info`` that names the group; of several the first that a frame has.
    train, validation, test
        The names of each part's groups. ``validation`` and ``test`` may also be a share (float) or number (int) of
        frames to be drawn from those that train. Of ``train`` and ``test`` one may be None and takes the groups that
        are not named; there is no ``validation`` if it is None.
    seed
        Same seed, same split.

    Raises
    ------
    ConfigError
        If a name belongs to no group (says which there are) or to two parts, or a part is left empty.
    DataError
        If a frame lacks the key.
    """
    frames = as_frames(frames)
    groups = group_frames(frames, by)
    given = {"train": train, "validation": validation, "test": test}
    names = {part: named(value) for part, value in given.items() if isinstance(value, str | Sequence)}
    check_names(names, groups, by)
    if train is None and test is None:
        raise ConfigError(f"{_key(by)}: name the groups for training or for testing; {_there(groups)}")
    rest = [name for name in groups if not any(name in own for own in names.values())]
    for part in ("train", "test"):
        if given[part] is None:
            names[part] = rest
            if not rest:
                raise ConfigError(f"{_key(by)}: no group is left for the {NOUNS[part]} part; {_there(groups)}")
    members = group_members(frames, by)
    held = {part: select(frames, sorted(i for name in {*own} for i in members[name])) for part, own in names.items()}
    drawn = [size if isinstance(size, int | float) else 0 for size in (validation, test)]
    parts = split(held["train"], None, *drawn, seed=seed).divided | {
        part: held[part] for part in ("validation", "test") if part in held
    }
    return Split(**parts)


def named(names: str | Sequence[str]) -> list[str]:
    """Return a name or several as a list."""
    return [names] if isinstance(names, str) else list(names)


def check_names(names: Mapping[str, Sequence[str]], groups: Mapping[str, Sequence[Frame]], by: Keys) -> None:
    """Refuse names (by part) without a group, or that are in two parts.

    Raises
    ------
    ConfigError
        Names the existing groups.
    """
    for part, own in names.items():
        if unknown := [name for name in own if name not in groups]:
            raise ConfigError(f"{part}: no frame has {_key(by)} {unknown[0]!r}; {_there(groups)}")
    counts = Counter(name for own in names.values() for name in set(own))
    if twice := [name for name, count in counts.items() if count > 1]:
        raise ConfigError(f"the group {twice[0]!r} of {_key(by)} is in two parts of the split; leave it in one")


def _key(by: Keys) -> str:
    return " or ".join(named(by))


def _there(groups: Mapping[str, Sequence[Frame]]) -> str:
    return f"there are {counted(((name, len(own)) for name, own in groups.items()), 'frame', 20)}"


def check_counted(parts: Split, by: Keys) -> list[str]:
    """Check groups that are named train, val and test, but were drawn at random by number.

    Returns
    -------
    list
        A sentence if one is in another part than its name says, but none of these is trained on.

    Raises
    ------
    ConfigError
        If one named otherwise would be trained on, or one named train would not; says how to name them.
    """
    groups = {part: group_frames(frames, by) for part, frames in parts.divided.items()}
    usual = sort_names(_key(by), {name for own in groups.values() for name in own})
    called = {name: part for part, own in usual.parts.items() for name in own} if usual else {}
    wrong = [(name, part) for part, own in groups.items() for name in own if called.get(name, part) != part]
    # What is wrongly trained on comes first.
    for name, part in sorted(wrong, key=lambda found: "train" not in (found[1], called[found[0]])):
        sentence = (
            f"{_key(by)} itself states the use of frames, but its groups are drawn at random, so {name!r} is in the "
            f"{NOUNS[part]} part; name the groups: {usual}"
        )
        if "train" in (part, called[name]):
            raise ConfigError(f"split: {sentence}")
        return [sentence]
    return []


def whereabouts(parts: Split, name_of: Callable[[Frame], str]) -> list[dict[str, str | int]]:
    """Return part, name and number of frames of each group, in the order in which they come."""
    counts = {part: Counter(map(name_of, frames)) for part, frames in parts.divided.items()}
    return [
        {"part": part, "name": name, "frames": number} for part, own in counts.items() for name, number in own.items()
    ]


def only_those(frames: Iterable[Frame], only: str | None) -> Iterable[Frame]:
    """Return the frames of the groups that ``part=val,test`` names, or all.

    Raises
    ------
    ConfigError
        If the text has another form, or no frame has such a name (says which there are).
    DataError
        If a frame lacks the key.
    """
    if only is None:
        return frames
    key, _, text = only.partition("=")
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not (key and names):
        raise ConfigError(f"--only takes a key and names, such as part=test, not {only!r}")
    groups = group_frames(list(frames), key)
    check_names({"--only": names}, groups, key)
    return [frame for name in dict.fromkeys(names) for frame in groups[name]]

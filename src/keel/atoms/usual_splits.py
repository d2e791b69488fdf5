"""Divisions that files bring along: a key such as ``split`` or ``part`` whose values are called train, val and test."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.isolated import set_apart
from keel.atoms.selecting import infos

KEYS = ("split", "part", "subset", "set", "partition", "data_split", "dataset_split", "split_name")
"""Names of keys whose values state the use of frames, the usual ones first; case-insensitive, with - for _."""
CALLED = {
    "train": re.compile(r"train(ing)?|trn|fit(ting)?|fine[-_ ]?tun(e|ing)", re.IGNORECASE),
    "validation": re.compile(r"val(id(ation)?)?|dev(elopment)?", re.IGNORECASE),
    "test": re.compile(r"test(ing)?|tst|h[eo]ld[-_ ]?out", re.IGNORECASE),
}
"""Names of the parts; more may follow after a separator, as in ``val_id``, ``test-ood`` and ``train.1``."""


@dataclass(frozen=True)
class UsualSplit:
    """The key and the names by which a file splits its own frames.

    Parameters
    ----------
    by
        Key in ``Frame.info``.
    train, validation, test
        Values of the key, by their names, sorted; some are for training and some for another part.
    others
        Values of unknown use.
    """

    by: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """The names of each part that has some."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {part: names for part, names in named.items() if names}

    def __str__(self) -> str:
        """Return it as it is written in a configuration: ``{by: part, train: finetune, test: test}``."""
        values = (f"{part}: {n[0] if len(n) == 1 else '[' + ', '.join(n) + ']'}" for part, n in self.parts.items())
        return "{" + ", ".join([f"by: {self.by}", *values]) + "}"


def usual_split(frames: Structures) -> UsualSplit | None:
    """Return the division that frames bring along, or None if they bring none.

    There is one if all frames but atoms alone have one of :data:`KEYS`, and its values call some frames training and
    some validation or test frames.
    """
    bonded, _ = set_apart(as_frames(frames))
    values: dict[str, set[str]] | None = None
    for info in infos(bonded):
        own = [key for key in info if key.lower().replace("-", "_") in KEYS] if values is None else values.keys() & info
        if not own:
            return None
        values = {key: {*(values or {}).get(key, ()), str(info[key])} for key in own}
    keys = {key.lower().replace("-", "_"): key for key in sorted(values or {})}
    candidates = (sort_names(keys[key], (values or {})[keys[key]]) for key in KEYS if key in keys)
    return next(filter(None, candidates), None)


def sort_names(by: str, values: Iterable[str]) -> UsualSplit | None:
    """Return the values of a key sorted by what they are called, or None if these are not usual names of parts."""
    parts: dict[str | None, list[str]] = {None: [], **{part: [] for part in CALLED}}
    for value in sorted(values):
        parts[part_called(value)].append(value)
    if not parts["train"] or not (parts["validation"] or parts["test"]):
        return None
    return UsualSplit(by, *(tuple(parts[part]) for part in (*CALLED, None)))


def part_called(value: str) -> str | None:
    """Return ``"train"``, ``"validation"`` or ``"test"`` for a value such as ``finetune``, ``val_id`` or ``Test``."""
    for part, names in CALLED.items():
        found = names.match(value.strip())
        if found and not value.strip()[found.end() : found.end() + 1].isalpha():
            return part
    return None

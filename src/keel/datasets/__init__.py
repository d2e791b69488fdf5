"""Labelled structures that come with keel, each with a card that says how they were made.

The counts on the card are checked whenever the data are loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from keel.errors import ConfigError, DataError
from keel.showing import Shown

if TYPE_CHECKING:
    from keel.atoms.frames import Frames

__all__ = ["DatasetCard", "card", "names", "phosphorus"]


@dataclass(frozen=True, repr=False)
class DatasetCard(Shown):
    """What to know about a data set before using it.

    Parameters
    ----------
    name, title, year, licence, citation
        Name, title, year, licence and citation.
    file
        Name of the file in the package.
    group, frames
        Key in ``Frame.info`` that names the parts, and the number of frames of each.
    atoms
        Number of atoms in all frames.
    labels, units
        What each frame carries, in which units.
    systems
        What each part is.
    level_of_theory, how_made, mind
        How the labels were computed, how the structures came about, what not to conclude from them.
    """

    name: str
    title: str
    year: int
    licence: str
    citation: str
    file: str
    group: str
    frames: Mapping[str, int]
    atoms: int
    labels: tuple[str, ...]
    units: Mapping[str, str]
    systems: Mapping[str, str]
    level_of_theory: str
    how_made: str
    mind: str


def names() -> list[str]:
    """Return the names of the data sets in the package."""
    files = (entry.name for entry in resources.files(__name__).iterdir())
    return sorted(name.removesuffix(".extxyz.xz") for name in files if name.endswith(".extxyz.xz"))


def card(name: str) -> DatasetCard:
    """Return the card of a data set.

    Raises
    ------
    ConfigError
        If there is none with that name.

    Examples
    --------
    >>> import keel
    >>> keel.datasets.card("phosphorus").licence
    'CC0-1.0'
    """
    import yaml

    if name not in names():
        raise ConfigError(f"there is no data set {name!r} in keel; choose from {', '.join(names())}")
    content: dict[str, Any] = yaml.safe_load((resources.files(__name__) / f"{name}.yaml").read_text())
    return DatasetCard(**{**content, "labels": tuple(content["labels"])})


def phosphorus(phase: str | None = None) -> Frames:
    """Return DFT molecular dynamics of black phosphorus and liquid P4 at 800 K, in the order of the runs.

    Parameters
    ----------
    phase
        ``"black"`` or ``"liquid-P4"``; both if None.

    Raises
    ------
    ConfigError
        If there is no such phase.
    DataError
        If the file in the package does not match its card.

    Examples
    --------
    >>> import keel
    >>> frames = keel.datasets.phosphorus("black")
    >>> len(frames), frames[0].formula
    (235, 'P32')
    """
    return _load("phosphorus", phase)


def _load(name: str, part: str | None) -> Frames:
    from keel.atoms.frames import Frames
    from keel.atoms.read import read

    about = card(name)
    if part is not None and part not in about.frames:
        raise ConfigError(f"{name} has no {about.group} {part!r}; choose {' or '.join(about.frames)}")
    with resources.as_file(resources.files(__name__) / about.file) as path:
        frames = read(path, require=about.labels)
    counts, atoms = Counter(str(f.info[about.group]) for f in frames), sum(map(len, frames))
    if counts != about.frames or atoms != about.atoms:
        raise DataError(f"the data set {name} does not match its card; reinstall keel")
    # The path in the package would differ from machine to machine.
    named = [f.replace(source=f"{name}, frame {k}") for k, f in enumerate(frames)]
    return Frames(f for f in named if part in (None, f.info[about.group]))

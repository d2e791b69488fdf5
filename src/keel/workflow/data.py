"""The data of a run: read and divided as configured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import chain, combinations_with_replacement
from pathlib import Path

from keel.atoms.elements import atomic_number
from keel.atoms.frame import Frame
from keel.atoms.read import believed, iter_frames, stored_frames, warn_of_stores
from keel.atoms.selecting import joined, made_of
from keel.config import DataSettings
from keel.datasets import phosphorus
from keel.errors import ConfigError


def read_data(settings: DataSettings, base: Path) -> dict[str, Sequence[Frame]]:
    """Return the labelled frames of the files of each part; those to be divided are under ``train``.

    ``"phosphorus"`` is the embedded set; paths are relative to ``base``.

    Raises
    ------
    ConfigError
        If no frame of a part is made of the chosen elements.
    """
    return {part: _chosen(_read(names, base), settings.elements) for part, names in settings.files_of.items()}


def _read(names: Sequence[str], base: Path) -> Sequence[Frame]:
    files = [base / name for name in names]
    if (stored := stored_frames(files)) is not None:
        return stored
    warn_of_stores(files)
    each = (phosphorus() if name == "phosphorus" else iter_frames(base / name) for name in names)
    return believed([*chain.from_iterable(each)])


def _chosen(frames: Sequence[Frame], elements: Sequence[str] | None) -> Sequence[Frame]:
    if elements is None:
        return frames
    found = made_of(frames, [atomic_number(element) for element in elements])
    if not len(found):
        raise ConfigError(f"data.elements: none of {len(frames)} frames is made of {', '.join(elements)}")
    return found


def check_periodic(frames: Iterable[Frame]) -> None:
    """Refuse test frames without a g(r) where one is to be compared.

    Raises
    ------
    ConfigError
        If a frame is not periodic in three directions.
    """
    open_frame = next((frame for frame in frames if not frame.pbc.all()), None)
    if open_frame is not None:
        raise ConfigError(
            f"evaluation.rdf_temperature: {open_frame.source} is not periodic in three directions and has no g(r); "
            "leave the setting out"
        )


def everything(parts: Mapping[str, Sequence[Frame]]) -> Sequence[Frame]:
    """Return the frames of all parts; those of one store stay there."""
    return reduce(joined, parts.values())


def frequent_pairs(frames: Iterable[Frame], number: int | None = None) -> list[tuple[int, int]]:
    """Return the most common pairs of elements, or all pairs of the elements, by atomic number."""
    sets = [sorted(set(frame.numbers.tolist())) for frame in frames]
    counts = Counter(pair for elements in sets for pair in combinations_with_replacement(elements, 2))
    everything = combinations_with_replacement(sorted(set().union(*sets)), 2)
    # The lighter pair, if counts are equal.
    ranked = sorted(everything, key=lambda pair: (-counts[pair], pair))
    return sorted(ranked[:number])

"""Do all frames lie on one potential energy surface? Charge, spin, functional, kinds of energy; how cells are given.

A network sees elements and positions only. Frames of another charge, spin or functional have other energies for the
same positions, so that it learns the mean of both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from keel.atoms.elements import symbol
from keel.atoms.frame import Frame
from keel.atoms.labelling.names import EXTRAPOLATED_ENERGY
from keel.atoms.labelling.stated import CALCULATION, OF_COMPOSITION, is_moment, state_of
from keel.atoms.remarks import frames_of
from keel.atoms.soundness.finding import Finding

SYMBOLS = frozenset(map(symbol, range(1, 119)))
MOMENT = 0.5
"""Bohr magnetons by which the moments of a structure in one magnetic state do not differ, roughly."""
MOST_VALUES = 6
"""Number of values of a key that are named with their counts."""


def findings(frames: Sequence[Frame]) -> Iterator[Finding]:
    """Yield signs that the frames belong to several states, and how many cells are left-handed."""
    for key, state in stated(frames).items():
        for name, values in _compared(key, state, frames):
            counts = Counter(map(_value, values))
            if len(counts) > 1:
                yield Finding("warn", _mixed(name, state, counts))
                break
    yield from _moments(frames)
    yield from _energy_kinds(frames)
    yield from _left_handed(frames)


def stated(frames: Sequence[Frame]) -> dict[str, str]:
    """Return the keys in ``info`` that name a state, and which: ``{"total_charge": "charge"}``."""
    keys = sorted({key for frame in frames for key in frame.info})
    return {key: state for key in keys if (state := state_of(key)) is not None}


def _compared(key: str, state: str, frames: Sequence[Frame]) -> Iterator[tuple[str, list[Any]]]:
    """Yield values that should be the same, and what they are called.

    Of an output that states a value for each element these are the values of each element, of others those of all
    frames, or of those of one composition.
    """
    # A file that is no output of a calculation may well come from the same.
    some = [f for f in frames if key in f.info] if key.startswith(CALCULATION) else frames
    values = [frame.info.get(key, "none stated") for frame in some]
    elements = {e for value in values for e in value} if all(isinstance(v, Mapping) for v in values) else set()
    if elements and elements <= SYMBOLS and key.startswith(CALCULATION):
        for element in sorted(elements):
            yield f"{key} of {element}", [value[element] for value in values if element in value]
    elif state in OF_COMPOSITION:
        for alike in _by_composition(some).values():
            yield key, [frame.info.get(key, "none stated") for frame in alike]
    else:
        yield key, values


def _by_composition(frames: Sequence[Frame]) -> dict[str, list[Frame]]:
    found: dict[str, list[Frame]] = {}
    for frame in frames:
        found.setdefault(frame.formula, []).append(frame)
    return found


def _moments(frames: Sequence[Frame]) -> Iterator[Finding]:
    """Yield magnetic moments that differ within one composition, by more than they do within one magnetic state."""
    for key in sorted(filter(is_moment, {key for frame in frames for key in frame.info})):
        some = [f for f in frames if isinstance(f.info.get(key), Real)]
        for formula, alike in _by_composition(some).items():
            low, high = (end(float(f.info[key]) for f in alike) for end in (min, max))
            if high - low > MOMENT:
                yield Finding(
                    "note",
                    f"{key} is from {low:.4g} to {high:.4g} in {frames_of(len(alike))} of {formula}; keel's networks "
                    "do not see magnetic states, so several of them on the same positions are learnt as their mean",
                )
                break


def _value(value: Any) -> str:
    """Return a value as text, the same for ``1``, ``1.0`` and an array of one number."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_value(v)}" for k, v in sorted(value.items(), key=str))
    numbers = np.asarray(value)
    if numbers.dtype.kind == "b":
        return " ".join(map(str, numbers.ravel()))
    if numbers.dtype.kind in "iuf":
        return " ".join(f"{number:.6g}" for number in numbers.ravel())
    return str(value)


def _mixed(key: str, state: str, counts: Counter[str]) -> str:
    shown = [f"{frames_of(n)} with {value or 'nothing'}" for value, n in counts.most_common(MOST_VALUES)]
    more = len(counts) - len(shown)
    return (
        f"{key} varies: {', '.join(shown)}{f' and {more} more values' if more else ''}; keel's networks do not see "
        f"the {state} and learn the mean of all, so train on frames of one {state} only"
    )


def _energy_kinds(frames: Sequence[Frame]) -> Iterator[Finding]:
    labelled = [f for f in frames if f.energy is not None]
    both = [f for f in labelled if EXTRAPOLATED_ENERGY in f.info]
    if both and len(both) < len(labelled):
        largest = max(abs(f.info[EXTRAPOLATED_ENERGY] - (f.energy or 0.0)) / len(f) for f in both)
        yield Finding(
            "warn",
            f"two kinds of energy: {frames_of(len(both))} with a free energy (which is used) and one extrapolated to "
            f"zero smearing, and {frames_of(len(labelled) - len(both))} with one energy only; if that "
            f"is the extrapolated one the two kinds differ by up to {1e3 * largest:.3g} meV/atom, so write the free "
            "energy of all frames, or name the kind that all have (`--energy-key NAME`)",
        )


def _left_handed(frames: Sequence[Frame]) -> Iterator[Finding]:
    count = sum(bool(f.pbc.all()) and float(np.linalg.det(f.cell)) < 0.0 for f in frames)
    if count:
        yield Finding("note", f"{frames_of(count)} with a left-handed cell, which is used unchanged")

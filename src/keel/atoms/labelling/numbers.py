"""Numbers of labels as a file has them: which of them mean "unknown", and how many digits they have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import Array
from keel.errors import DataError

UNKNOWN_ENERGIES = frozenset({999.0, 9999.0, 99999.0, 999999.0})
"""Magnitudes of energies that mean "unknown"."""
FILLERS = UNKNOWN_ENERGIES | {99.0}
"""Magnitudes of components of a force that mean the same, if all three are equal."""
LARGEST_ENERGY = 1e7
"""eV/atom: beyond the total energy of any atom (element 118 has about 1.5e6)."""
UNKNOWN_WORDS = frozenset({"", "none", "null", "nan", "n/a", "na", "-"})
TRUTHS = {"t": True, "true": True, "1": True, "1.0": True, "f": False, "false": False, "0": False, "0.0": False}
COARSEST = 5e-3
"""Half of the last digit that a label is assumed to have at least."""


def are_fillers(rows: Array) -> NDArray[np.bool_]:
    """Return which vectors have three times the same number that means "unknown", shape (N,)."""
    found: NDArray[np.bool_] = np.isin(np.abs(rows[:, 0]), list(FILLERS)) & (rows == rows[:, :1]).all(axis=1)
    return found


def says_unknown(value: Any) -> bool:
    """Return whether a value is absent or empty, or a word that means "none"."""
    if isinstance(value, str):
        return value.strip().lower() in UNKNOWN_WORDS
    empty = (
        len(value) == 0 if isinstance(value, list | tuple | dict) else isinstance(value, np.ndarray) and not value.size
    )
    return value is None or value is True or empty


def is_filled(numbers: Array) -> bool:
    """Return whether numbers are not a label but a single number that means "unknown".

    No forces and no stress have the same number in all components, except zero.
    """
    first = abs(float(numbers.flat[0])) if numbers.size else 0.0
    if numbers.size == 1:
        return first in UNKNOWN_ENERGIES
    # In a field one atom may have any force.
    placeholder = first in FILLERS if numbers.size == 3 else first > 0.0
    return placeholder and bool((numbers == numbers.flat[0]).all())


def half_digit(numbers: Array, printed: str | None) -> float:
    """Return half of the last digit: as printed, or the finest of many numbers; 0 for one number of unknown digits."""
    if printed is None and numbers.size < 3:
        return 0.0
    words = printed.replace(",", " ").split() if printed is not None else map(repr, numbers.ravel().tolist()[:300])
    return min(0.5 * 10.0 ** -max(map(_decimals, words), default=0), COARSEST)


def _decimals(word: str) -> int:
    mantissa, _, exponent = word.strip("[](){}\"'").lower().replace("d", "e").partition("e")
    try:
        return len(mantissa.partition(".")[2]) - int(exponent or 0)
    except ValueError:
        return 0


def floats(value: Any, key: str) -> Array:
    """Return a value as numbers; DataError, with its key, if it is none, as T and F are none."""
    try:
        if np.asarray(value).dtype != bool:
            return np.array(value, dtype=np.float64)
        raise ValueError
    except (TypeError, ValueError):
        stars = "; Fortran prints stars for a number that is too long" if set(str(value)) == {"*"} else ""
        raise DataError(f"{key} is not numeric ({str(value)[:40]!r}){stars}") from None


def truths(values: Any, key: str) -> NDArray[np.bool_]:
    """Return what a file says is true, where it is said with words or numbers: a text is not true for not being empty.

    Raises
    ------
    DataError
        If one of them is neither true nor false.
    """
    array = np.asarray(values)
    if array.dtype == bool:
        return array
    words = array.ravel().tolist()
    known = [TRUTHS.get(str(word).strip().lower()) for word in words]
    if None in known:
        raise DataError(f"{key} should be T or F, or 1 or 0, not {words[known.index(None)]!s:.40}")
    return np.array(known, dtype=bool).reshape(array.shape)

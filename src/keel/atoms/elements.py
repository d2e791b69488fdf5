"""Names, covalent radii and masses of the elements, by atomic number (from ASE)."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from ase.data import atomic_masses, atomic_numbers, chemical_symbols, covalent_radii
from numpy.typing import NDArray

from keel.errors import DataError

MASSES: NDArray[np.float64] = np.asarray(atomic_masses, dtype=np.float64)
"""Standard atomic weights in u, indexed by atomic number."""

COVALENT_RADII: NDArray[np.float64] = np.asarray(covalent_radii, dtype=np.float64)
"""Covalent radii in angstrom, indexed by atomic number (Cordero et al., Dalton Trans. 2832, 2008)."""


def symbol(number: int) -> str:
    """Return the chemical symbol of an atomic number."""
    return str(chemical_symbols[number])


def atomic_number(element: int | str) -> int:
    """Return the atomic number of a symbol or number.

    Raises
    ------
    DataError
        If there is no such element.
    """
    number = atomic_numbers.get(element) if isinstance(element, str) else int(element)
    if number is None or not 0 < number < len(chemical_symbols):
        shown = element if number is None else number
        raise DataError(f"{shown!r} is not a chemical element")
    return int(number)


def no_element(word: str) -> str:
    """Say of a word that it is no symbol of an element, and what to write instead."""
    said = f"{word!r}, which is not a chemical element"
    begins = re.match("[A-Z][a-z]?", word)
    if word in ("D", "T"):
        return f"{said}; write H, with the mass of each atom in a column masses:R:1 (the labels are those of hydrogen)"
    if word.lower() in ("x", "xx", "bq", "gh", "du", "q"):
        return f"{said} but a dummy or ghost atom; remove it"
    if word.isdecimal():
        return f"{said}; write symbols of elements instead of numbers (in LAMMPS: dump_modify element)"
    named = next((s for s in (begins[0], begins[0][0]) if s in atomic_numbers), None) if begins else None
    return f"{said}; write symbols alone ({named}?)" if named else f"{said}; write its symbol"


def atomic_numbers_of(elements: Iterable[int | str]) -> list[int]:
    """Return the atomic numbers of symbols or numbers; ``"Cu"`` is one element."""
    return [atomic_number(e) for e in ([elements] if isinstance(elements, str) else elements)]


def check_known(numbers: Iterable[int], known: Iterable[int] | None, whose: str) -> None:
    """Raise a DataError that names the elements of structures that are not known; None: all are.

    ``whose`` says what knows them, after the file and frame of the structure, if that has one.
    """
    if known is None or not (unknown := set(numbers) - set(known)):
        return
    strange, names = (", ".join(map(symbol, sorted(some))) for some in (unknown, known))
    raise DataError(f"{whose} knows {names} but the structures contain {strange}")


def pair_name(first: int, second: int) -> str:
    """Return the name of a pair of elements, lower atomic number first: ``"O-Si"``."""
    return f"{symbol(min(first, second))}-{symbol(max(first, second))}"


def pair_numbers(name: str) -> tuple[int, int]:
    """Return the atomic numbers of a pair of elements (``"O-Si"``) in the order they are named.

    Raises
    ------
    DataError
        If it is not the name of two elements.
    """
    elements = name.split("-")
    if len(elements) != 2:
        raise DataError(f"{name!r} is not a pair of elements such as 'O-Si'")
    return atomic_number(elements[0]), atomic_number(elements[1])

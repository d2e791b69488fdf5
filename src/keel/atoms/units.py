"""Foreign units of length, energy, force and stress, each with one factor to angstrom, eV, eV/angstrom, eV/angstrom^3.

Factors follow from CODATA 2014, as ASE and most codes of the field have them (Mohr, Newell, Taylor, Rev. Mod. Phys. 88,
035009 (2016)). A minus sign before a unit reverses the sign: ``-eV/angstrom`` is the gradient, not the force.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.errors import ConfigError, DataError

GPA = 1.0 / 160.21766208
"""1 GPa in eV/angstrom^3."""
BOHR = 0.52917721067
"""1 bohr in angstrom."""
HARTREE = 27.21138602
"""1 hartree in eV."""
KCAL_PER_MOL = 0.0433641153
"""1 kcal/mol in eV."""

LENGTHS: Mapping[str, float] = {"angstrom": 1.0, "bohr": BOHR, "nm": 10.0, "pm": 0.01}
"""Units of length in angstrom."""
ENERGIES: Mapping[str, float] = {
    "eV": 1.0,
    "meV": 1e-3,
    "hartree": HARTREE,
    "rydberg": 0.5 * HARTREE,
    "kcal/mol": KCAL_PER_MOL,
    "kJ/mol": KCAL_PER_MOL / 4.184,
}
"""Units of energy in eV."""
_ENERGY_WORDS = {"ev": "eV", "electronvolt": "eV", "electronvolts": "eV", "mev": "meV"}
_ENERGY_WORDS |= dict.fromkeys(("hartree", "hartrees", "ha", "eh", "au"), "hartree")
_ENERGY_WORDS |= dict.fromkeys(("rydberg", "rydbergs", "ry"), "rydberg")
_ENERGY_WORDS |= {"kcalmol": "kcal/mol", "kcal": "kcal/mol", "kjmol": "kJ/mol", "kj": "kJ/mol"}
_LENGTH_WORDS = dict.fromkeys(("angstrom", "angstroms", "ang", "a"), "angstrom")
_LENGTH_WORDS |= dict.fromkeys(("bohr", "bohrs", "a0", "au"), "bohr")
_LENGTH_WORDS |= dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), "nm")
_LENGTH_WORDS |= dict.fromkeys(("pm", "picometer", "picometers", "picometre", "picometres"), "pm")
"""Spellings without separators, in lower case."""

_ASE, _VASP, _LAMMPS = "xx yy zz yz xz xy", "xx yy zz xy yz xz", "xx yy zz xy xz yz"
STRESSES: Mapping[str, tuple[float, str]] = {
    "ase": (1.0, _ASE),
    "gpa": (GPA, _ASE),
    "kbar": (0.1 * GPA, _ASE),
    "vasp-kbar": (-0.1 * GPA, _VASP),
    "bar": (-1e-4 * GPA, _LAMMPS),
    "hartree/bohr^3": (HARTREE / BOHR**3, _ASE),
    "kcal/mol/angstrom^3": (KCAL_PER_MOL, _ASE),
}
"""Conventions of a stress: factor to eV/angstrom^3 with ASE's sign, and the order of six numbers.

``vasp-kbar`` and ``bar`` (LAMMPS) are positive under compression, the others negative, as in ASE. ``virial``
is -V times the stress, in eV or in another unit of energy: ``virial hartree``.
"""
STRESS_CONVENTIONS = (*STRESSES, "virial")
"""Names of the conventions of a stress."""


@cache
def length_factor(unit: str) -> float:
    """Return a unit of length in angstrom.

    Raises
    ------
    ConfigError
        If it is not known.
    """
    return _factor(unit, "length", LENGTHS, "bohr")


@cache
def energy_factor(unit: str) -> float:
    """Return a unit of energy in eV; ``eV/atom`` and its like are those of the whole structure's unit.

    Raises
    ------
    ConfigError
        If it is not known.
    """
    return _factor(unit, "energy", ENERGIES, "hartree, kcal/mol or eV/atom")


def is_per_atom(unit: str) -> bool:
    """Whether an energy in this unit is divided by the number of atoms."""
    return _letters(unit).endswith("atom")


@cache
def force_factor(unit: str) -> float:
    """Return a unit of force, energy/length, in eV/angstrom.

    Raises
    ------
    ConfigError
        If it is not known.
    """
    sign, name = _signed(unit)
    known = spelled("forces", name)
    if known is None:
        raise ConfigError(f"the unit of force {unit!r} is not understood; write it like hartree/bohr or -eV/angstrom")
    energy, _, length = known.rpartition("/")
    return sign * ENERGIES[energy] / LENGTHS[length]


@cache
def stress_factor(convention: str) -> float:
    """Return a convention of the stress in eV/angstrom^3, negative if its sign is not ASE's; of a virial, in eV."""
    sign, name = _signed(convention)
    name, _, unit = name.partition(" ")
    return sign * (STRESSES[name][0] if name != "virial" else -energy_factor(unit or "eV"))


def spelled(quantity: str, text: str) -> str | None:
    """Return a unit by keel's name, however it is spelled; None if it is not understood.

    Parameters
    ----------
    quantity
        ``energy``, ``forces``, ``length``, ``stress`` or ``virial``.
    text
        Such as ``Ha/Bohr``, ``eV Å^-1`` or ``kcal_mol``; ``per atom`` alone is an energy in eV per atom.

    Examples
    --------
    >>> spelled("energy", "Hartree per atom"), spelled("forces", "eV_A"), spelled("stress", "eV/Å^3")
    ('hartree/atom', 'eV/angstrom', 'ase')
    """
    word = _letters(text)
    if quantity == "length":
        return _LENGTH_WORDS.get(word)
    if quantity == "energy":
        whole = word.removesuffix("atom")
        energy = _ENERGY_WORDS.get(whole or "ev") if word else None
        return f"{energy}/atom" if energy and whole != word else energy
    if quantity == "virial":
        energy = _ENERGY_WORDS.get(word)
        return "virial" if energy == "eV" else energy and f"virial {energy}"
    if quantity == "forces":
        return "hartree/bohr" if word == "au" else _by_length(word)
    density = "hartree/bohr" if word == "au" else _by_length(word.removesuffix("3")) if word.endswith("3") else None
    conventions = {"eV/angstrom": "ase", "gpa": "gpa", "kbar": "kbar", "bar": "-bar"}
    conventions |= {name.removesuffix("^3"): name for name in STRESSES if name.endswith("^3")}
    return conventions.get(density or word)


def _by_length(word: str) -> str | None:
    """Return a unit of energy by one of length."""
    lengths = (end for end in _LENGTH_WORDS if word.endswith(end) and word.removesuffix(end) in _ENERGY_WORDS)
    return next((f"{_ENERGY_WORDS[word.removesuffix(end)]}/{_LENGTH_WORDS[end]}" for end in lengths), None)


def _letters(text: str) -> str:
    """Return a spelling without separators: ``kcal mol^-1``, ``kcal/mol`` and ``kcal per mol`` are ``kcalmol``."""
    plain = text.lower().translate(str.maketrans("åö³⁻¹", "ao3-1"))
    return re.sub(r"\^?\(?-1\b|per|[^a-z0-9]", "", plain)


def _signed(name: str) -> tuple[float, str]:
    name = name.strip()
    return (-1.0, name[1:].strip()) if name.startswith("-") else (1.0, name)


def check_convention(convention: str) -> None:
    """Refuse a convention of the stress that is not known.

    Raises
    ------
    ConfigError
        If it is not one of :data:`STRESS_CONVENTIONS`, with a minus sign before it or not.
    """
    name, _, unit = convention.strip().removeprefix("-").partition(" ")
    if name not in STRESS_CONVENTIONS or (unit and name != "virial"):
        known = ", ".join(STRESS_CONVENTIONS)
        raise ConfigError(
            f"the stress convention {convention!r} is not one of {known}, with a leading minus sign for the opposite "
            "sign"
        )
    if unit:
        _factor(unit, "energy", ENERGIES, "virial hartree")


def stress_of(values: Any, convention: str, volume: float) -> NDArray[np.float64]:
    """Return a stress in eV/angstrom^3 with ASE's sign, shape (3, 3), from what a file gives.

    Raises
    ------
    DataError
        If it has neither 6 nor 9 numbers, is plainly not symmetric, or is a virial of a structure without a volume.
    """
    sign, name = _signed(convention)
    name, _, unit = name.partition(" ")
    if name != "virial":
        factor, order = STRESSES[name]
        return sign * factor * matrix_from_voigt(values, order)
    if volume == 0.0:
        raise DataError("a virial cannot be turned into a stress without a cell")
    factor = energy_factor(unit) if unit else 1.0
    return np.asarray(-sign * factor * matrix_from_voigt(values) / volume)


def matrix_from_voigt(values: Any, order: str = _ASE) -> NDArray[np.float64]:
    """Return a symmetric (3, 3) tensor from 3 x 3, 9 or 6 numbers.

    Six numbers are in ASE's order unless another is given (VASP: ``"xx yy zz xy yz xz"``).

    Raises
    ------
    DataError
        If the shape is different, or the tensor is clearly not symmetric.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.size == 6:
        tensor = np.zeros((3, 3))
        for value, name in zip(values.ravel(), order.split(), strict=True):
            i, j = ("xyz".index(axis) for axis in name)
            tensor[i, j] = tensor[j, i] = value
        return tensor
    if values.size != 9:
        raise DataError(f"it has {values.size} numbers instead of 6 or 9")
    matrix: NDArray[np.float64] = values.reshape(3, 3)
    if np.abs(matrix - matrix.T).max() > 1e-6 + 1e-2 * np.abs(matrix).max():
        raise DataError("it is not symmetric")
    return matrix


def _factor(unit: str, quantity: str, known: Mapping[str, float], example: str) -> float:
    sign, name = _signed(unit)
    found = spelled(quantity, name)
    if found is None:
        raise ConfigError(
            f"the unit of {quantity} {unit!r} is unknown; choose from {', '.join(known)} (such as {example})"
        )
    return sign * known[found.removesuffix("/atom")]

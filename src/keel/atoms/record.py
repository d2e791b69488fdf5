"""What a file says of a structure, before its labels are found, and how the user wants it read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.atoms import units
from keel.atoms.elements import atomic_number
from keel.atoms.frame import Array, Frame
from keel.errors import ConfigError, advice


@dataclass(frozen=True)
class LabelKeys:
    """How to read an unusual file: names and units of its labels, types of its atoms.

    Parameters
    ----------
    energy, forces, stress
        Key of each label; None searches the common names.
    stress_convention
        One of :data:`keel.atoms.units.STRESS_CONVENTIONS`, such as ``gpa``, ``vasp-kbar``, ``bar`` or ``virial``, with
        a leading minus sign for the opposite sign; None: ``virial`` for a key of this name, else ``ase``.
    energy_unit
        ``eV``, ``hartree``, ``rydberg``, ``kcal/mol``, ``kJ/mol``, or one of these ``/atom``.
    forces_unit
        A unit of energy by one of length, such as ``hartree/bohr``; ``-eV/angstrom`` for gradients.
    length_unit
        Of positions and cell: ``angstrom``, ``bohr``, ``nm`` or ``pm``.
    elements
        Elements of the types 1, 2, ... of a file without element names.
    unconverged
        Also use labels of calculations whose electrons did not converge.

    Raises
    ------
    ConfigError
        If a unit or convention is unknown, or an element is invalid.
    """

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    stress_convention: str | None = None
    energy_unit: str | None = None
    forces_unit: str | None = None
    length_unit: str | None = None
    elements: tuple[str, ...] | None = None
    unconverged: bool = False

    def __post_init__(self) -> None:
        """Check what is named."""
        checks: dict[str, Callable[[str], object]] = {
            "stress_convention": units.check_convention,
            "energy_unit": units.energy_factor,
            "forces_unit": units.force_factor,
            "length_unit": units.length_factor,
        }
        for name, check in checks.items():
            try:
                if (given := getattr(self, name)) is not None:
                    check(given)
            except ConfigError as error:
                raise ConfigError(f"{advice(name, '--' + name.replace('_', '-'))}: {error}") from None
        if isinstance(self.elements, str):
            object.__setattr__(self, "elements", tuple(map(str.strip, self.elements.split(","))))
        for element in self.elements or ():
            atomic_number(element)

    @property
    def units(self) -> dict[str, str]:
        """The units and the convention that are named, by label."""
        named = {"energy": self.energy_unit, "forces": self.forces_unit, "stress": self.stress_convention}
        return {label: unit for label, unit in named.items() if unit is not None}

    @property
    def length(self) -> float:
        """The unit of length in angstrom."""
        return units.length_factor(self.length_unit or "angstrom")


USUAL = LabelKeys()
"""Common names, eV and angstrom."""


def label_keys(given: LabelKeys | Mapping[str, Any] | None) -> LabelKeys:
    """Return how to read files: as given, by a dictionary of the same names, or as usual.

    Raises
    ------
    ConfigError
        If it is something else, or has a name that is none of them.
    """
    if isinstance(given, LabelKeys) or given is None:
        return given or USUAL
    names = [field.name for field in fields(LabelKeys)]
    if not isinstance(given, Mapping):
        raise ConfigError(f"keys={given!r:.60} is neither LabelKeys(...) nor a dictionary with {', '.join(names)}")
    if unknown := [name for name in given if name not in names]:
        raise ConfigError(f"keys has {unknown[0]!r:.60}, which is none of {', '.join(names)}")
    return LabelKeys(**given)


@dataclass
class Record:
    """What a file says of one frame, before its labels are found.

    Parameters
    ----------
    numbers, positions, cell, pbc, info, arrays, source
        As in :class:`keel.Frame`, positions and cell in the file's unit; ``arrays`` has a row for each atom.
    printed
        Values of ``info`` as they are printed, where the file is text: how many digits they have decides whether two of
        them contradict each other.
    typed
        ``numbers`` are types 1, 2, ... of a file that does not say which elements they are.
    types
        Types of a file that has both, for a user who knows better which elements they are; shape (N,) or None.
    usual
        Names and units of this format, where the user gives none.
    fixed
        Cartesian components held fixed, shape (N, 3), or None.
    remarks
        What the reader left out.
    unconverged
        Why the labels are not those of a converged calculation, or None.
    """

    numbers: NDArray[np.int64]
    positions: Array
    cell: Array
    pbc: NDArray[np.bool_]
    info: dict[str, Any]
    arrays: dict[str, Any]
    source: str
    printed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    typed: bool = False
    types: NDArray[np.int64] | None = None
    usual: LabelKeys = USUAL
    fixed: NDArray[np.bool_] | None = None
    remarks: tuple[str, ...] = ()
    unconverged: str | None = None

    @property
    def volume(self) -> float:
        """|det cell| in cubic angstrom."""
        return float(abs(np.linalg.det(self.cell)))


@dataclass(frozen=True)
class PendingFrame:
    """A frame that has been found in a file but not yet parsed.

    Parameters
    ----------
    source
        Its name in messages.
    record
        Returns its content; raises DataError if it is damaged.
    text
        Its text in the file, if the file is text.
    usual
        Returns the frame with its labels if nothing in it needs closer inspection, else None.
    """

    source: str
    record: Callable[[], Record]
    text: bytes | None = None
    usual: Callable[[], Frame | None] | None = None

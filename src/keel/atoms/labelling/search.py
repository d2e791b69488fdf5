"""Finding the labels of one record: under which names, in which units, and whether they are labels at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from keel.atoms import units
from keel.atoms.frame import Array
from keel.atoms.labelling.agreement import Value, agree, without_motion
from keel.atoms.labelling.lookalikes import hint, quantity_of, unit_in_name
from keel.atoms.labelling.names import (
    COMPONENTS,
    ENERGY,
    EXTRAPOLATED_ENERGY,
    FORCES,
    FREE_ENERGY,
    LABELS,
    SET_ASIDE,
    STRESS,
    VIRIAL,
    is_global,
    is_label_name,
    weight_of,
)
from keel.atoms.labelling.numbers import LARGEST_ENERGY, are_fillers, floats, half_digit, is_filled, says_unknown
from keel.atoms.labelling.stated_units import USUAL_UNITS, StatedUnits
from keel.atoms.record import LabelKeys, Record
from keel.errors import DataError, in_python

NOT_FINITE = "{0} of NaN or infinity throughout: not used"
FILLED = "{0} with the same number throughout: not used"
TOO_LARGE = f"energy of more than {LARGEST_ENERGY:g} eV/atom, which no atom has: not used"
WEIGHTLESS = "{0} with a weight of zero ({1}): not used"
WEIGHTED = "weights other than 0 and 1 ({0}): not used"
ZERO_STRESS = "stress of exactly zero with nonzero forces: not used"
KINETIC = "stress that differs from the virial by the motion of the atoms: the virial is used"
CP2K_ENERGY = (
    "CP2K's comment, whose E is the energy in hartree: read it with `--energy-key E --energy-unit hartree` "
    "(the cell and the forces are in other files)"
)
CP2K_EXTENDED = (
    "an Energy beside Step and Time, as CP2K writes it in hartree: read it with `--energy-key Energy --energy-unit "
    "hartree`, or eV if another program wrote it"
)
LAMMPS_HEADER = frozenset({"Timestep", "Potential_energy", "Stress"})
"""Keys of LAMMPS' ``dump extxyz``, whose Stress is a pressure in bar (docs.lammps.org/dump.html)."""


CP2K_COMMENT = frozenset({"i", "E"})
"""Keys of the comment line of CP2K's trajectories and optimisations, whose E is in hartree."""
CP2K_HEADER = frozenset({"Step", "Time", "Energy"})
"""Keys of the header of CP2K's trajectories in the format EXTXYZ, which hold positions alone; Energy is in hartree."""


@dataclass
class Found:
    """Labels in keel's units, and what is left of the record."""

    energy: float | None
    forces: Array | None
    stress: Array | None
    info: dict[str, Any]
    unused_columns: set[str]
    remarks: list[str]


def search(record: Record, keys: LabelKeys, stated: StatedUnits) -> Found:
    """Find energy, forces and stress.

    Raises
    ------
    DataError
        If two names contradict each other, a named key is absent, a label has the wrong shape, or the file states
        another unit than that in which it would be read.
    """
    return _Search(record, keys, stated).found()


def no_labels(record: Record, stated: StatedUnits) -> Found:
    """Return a record's info without its labels, which are not checked."""
    stated.refuse()
    info = {k: v for k, v in record.info.items() if not is_label_name(k) and k not in stated.keys}
    return Found(None, None, None, info, {k for k in record.arrays if not is_label_name(k)}, [])


class _Search:
    """The labels of one record; remembers which keys it has used."""

    def __init__(self, record: Record, keys: LabelKeys, stated: StatedUnits) -> None:
        self.record, self.keys, self.stated = record, keys, stated
        self.notes: dict[str, Any] = {}
        # What it said of units is not true of the frame.
        self.used: set[str] = set(stated.keys)
        self.remarks: list[str] = []
        self.explained: set[str] = set()
        """Labels of which a remark says why the frame has none."""
        weights = {k: v for k, v in record.info.items() if weight_of(k) is not None and isinstance(v, Real)}
        self.weightless = {weight_of(key): key for key, weight in weights.items() if weight == 0}
        if others := sorted(key for key, weight in weights.items() if weight not in (0, 1)):
            self.remarks.append(WEIGHTED.format(", ".join(others)))

    def found(self) -> Found:
        energy, forces, stress = self._energy(), self._forces(), self._stress()
        self.stated.refuse()
        if stress is not None and forces is not None and not stress.any() and forces.any():
            self._explain("stress", ZERO_STRESS)
            stress = None
        for label, value in zip(LABELS, (energy, forces, stress), strict=True):
            if value is None and label not in self.explained and (said := hint(label, self.record, self.used)):
                self.remarks.append(said)
        info = {k: v for k, v in self.record.info.items() if k not in self.used}
        # Labels that were not chosen get a name that is not read as one.
        info = {SET_ASIDE + k if is_label_name(k) else k: v for k, v in info.items()}
        # Where info and columns both have a quantity of the structure, that of info is taken.
        unused = {k for k in self.record.arrays if k not in self.used or (is_global(k) and k in self.record.info)}
        return Found(energy, forces, stress, {**info, **self.notes}, unused, self.remarks)

    def _explain(self, label: str, remark: str) -> None:
        self.explained.add(label)
        if remark not in self.remarks:
            self.remarks.append(remark)

    def _energy(self) -> float | None:
        if self.keys.energy:
            if self.keys.energy_unit is None and self.keys.energy == "E" and self.record.info.keys() >= CP2K_COMMENT:
                keys = in_python("energy_unit='hartree'")
                raise DataError(f"CP2K writes this E in hartree; add {keys}`--energy-unit hartree`")
            return self._number(self._named(self.keys.energy, "energy", self.record.info, self.record.arrays))
        if self.keys.energy_unit is None and not self.record.arrays and self.record.info.keys() >= CP2K_HEADER:
            self._explain("energy", CP2K_EXTENDED)
            return None
        free = self._number(self._called(FREE_ENERGY, self.record.info))
        plain = self._number(self._called(ENERGY, self.record.info))
        if free is None and plain is None and self.record.info.keys() >= CP2K_COMMENT:
            self._explain("energy", CP2K_ENERGY)
        if free is not None and plain is not None and abs(free - plain) > 1e-6 + 1e-7 * abs(plain):
            self.notes[EXTRAPOLATED_ENERGY] = plain
        return plain if free is None else free

    def _number(self, found: Mapping[str, Any]) -> float | None:
        unit = self.keys.energy_unit or "eV"
        factor = units.energy_factor(unit) * (len(self.record.numbers) if units.is_per_atom(unit) else 1)

        def convert(value: Array, key: str) -> Array:
            if value.size != 1:
                raise DataError(f"{key} should be one number but has {value.size}")
            return value.reshape(()) * factor

        agreed = self._agreed("energy", self._values("energy", found, convert))
        if agreed is not None and abs(agreed) > LARGEST_ENERGY * len(self.record.numbers):
            self._explain("energy", TOO_LARGE)
            return None
        return None if agreed is None else float(agreed)

    def _forces(self) -> Array | None:
        factor, n = units.force_factor(self.keys.forces_unit or "eV/angstrom"), len(self.record.numbers)

        def convert(value: Array, key: str) -> Array:
            if value.size != 3 * n or value.ndim not in (1, 2) or (value.ndim == 2 and value.shape != (n, 3)):
                raise DataError(f"{key} has the shape {value.shape} but {n} atoms need ({n}, 3)")
            rows = value.reshape(n, 3)
            filled = are_fillers(rows)
            if (mask := self.record.arrays.get("forces_mask")) is not None:
                filled &= np.asarray(mask, dtype=bool)
            if filled.any() and not is_filled(value):
                atom = int(np.argmax(filled))
                raise DataError(
                    f"the force on atom {atom} is three times {rows[atom, 0]:g}, which stands for unknown; mark such "
                    "atoms with a column forces_mask:L:1 that is F, or leave the frame out"
                )
            return rows * factor

        places = self.record.arrays, self.record.info
        found = (
            self._named(self.keys.forces, "forces", *places)
            if self.keys.forces
            else {**self._called(FORCES, places[1]), **self._called(FORCES, places[0])} or self._components()
        )
        return self._agreed("forces", self._values("forces", found, convert))

    def _components(self) -> dict[str, Any]:
        """Return forces whose components are columns of their own."""
        columns = {key.lower(): key for key in self.record.arrays}
        if not {*COMPONENTS} <= columns.keys():
            return {}
        names = [columns[component] for component in COMPONENTS]
        self.used.update(names)
        return {" ".join(names): np.array([self.record.arrays[name] for name in names]).T}

    def _stress(self) -> Array | None:
        info = self.record.info
        found = (
            self._named(self.keys.stress, "stress", info, self.record.arrays)
            if self.keys.stress
            else self._called(STRESS | VIRIAL, info)
        )

        def convert(value: Array, key: str) -> Array:
            try:
                return units.stress_of(value, self._convention(key), self.record.volume)
            except DataError as error:
                raise DataError(f"{key} cannot be a stress: {error}") from None

        if not self.record.pbc.all():
            # A stress is defined per volume; what a code prints for a molecule or slab belongs to its box.
            self.used.update(found)
            for key, value in found.items():
                if self.record.volume == 0.0 and "virial" in key.lower():
                    self.notes[SET_ASIDE + key] = value
                elif not says_unknown(value):
                    self.notes[SET_ASIDE + "stress"] = convert(floats(value, key), key)
            return None
        values = self._values("stress", found, convert)
        still = without_motion(values, len(self.record.numbers), self.record.volume)
        if len(still) < len(values):
            self.remarks.append(KINETIC)
        return self._agreed("stress", still)

    def _convention(self, key: str) -> str:
        if self.keys.stress_convention:
            return self.keys.stress_convention
        if "virial" in key.lower():
            # An energy too.
            unit = (self.keys.energy_unit or "eV").removesuffix("/atom")
            return "virial" if unit == "eV" else f"virial {unit}"
        return "bar" if key == "Stress" and self.record.info.keys() >= LAMMPS_HEADER else "ase"

    def _called(self, names: frozenset[str], values: Mapping[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in values.items() if k.lower() in names}

    def _named(self, key: str, label: str, *places: Mapping[str, Any]) -> dict[str, Any]:
        for values in places:
            if key in values:
                return {key: values[key]}
        there = ", ".join(sorted({*self.record.info, *self.record.arrays})) or "nothing"
        raise DataError(f"the key {key!r} named for the {label} is absent; the frame has {there}")

    def _values(self, label: str, found: Mapping[str, Any], convert: Callable[[Array, str], Array]) -> list[Value]:
        """Return the values that are labels, converted; those that mean "unknown" leave a remark."""
        self.used.update(found)
        values = []
        for key, given in found.items():
            if says_unknown(given) or self._is_weightless(label, key):
                continue
            numbers = floats(given, key)
            finite = np.isfinite(numbers).any()
            number = convert(numbers, key) if finite else numbers
            if not finite or is_filled(numbers):
                self._explain(label, (FILLED if finite else NOT_FINITE).format(label))
                continue
            self._compare_unit(quantity_of(label, key), key)
            # Digits matter only where there is another name to compare with.
            half = half_digit(numbers, self.record.printed.get(key)) if len(found) > 1 else 0.0
            digit = float(np.abs(convert(numbers + half, key) - number).max(initial=0.0)) if half else 0.0
            values.append(Value(key, number, digit))
        return values

    def _is_weightless(self, label: str, key: str) -> bool:
        """Return whether a label does not count: MACE marks what it does not know by a weight of zero."""
        weight = self.weightless.get("", self.weightless.get(quantity_of(label, key)))
        if weight is not None:
            self._explain(label, WEIGHTLESS.format(label, weight))
        return weight is not None

    def _compare_unit(self, quantity: str, key: str) -> None:
        if quantity in ("stress", "virial"):
            applied = self._convention(key)
        else:
            applied = getattr(self.keys, f"{quantity}_unit") or USUAL_UNITS[quantity]
        self.stated.compare(quantity, applied, unit_in_name(quantity, key))

    def _agreed(self, label: str, values: list[Value]) -> Array | None:
        if not values:
            return None
        if not agree(values):
            names = " and ".join(v.key for v in values)
            differ = (
                " (a virial does not include the motion of the atoms; the stress of an MD program may)"
                if label == "stress" and any(v.key.lower() in VIRIAL for v in values)
                else ""
            )
            keys = in_python(f"LabelKeys({label}=...)")
            raise DataError(
                f"{names} contradict each other{differ}; choose one with {keys}"
                f"`keel census FILE --{label}-key NAME --write OUT`"
            )
        return min(values, key=lambda v: v.digit).number

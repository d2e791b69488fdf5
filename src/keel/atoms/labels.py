"""Finding energy, forces and stress under the names that files give them, and bringing them to keel's units.

Names are recognised in any case and with the usual prefixes: ``energy``, ``REF_energy``, ``dft_energy``,
``free_energy``, ``forces``, ``force``, ``stress``, ``virial``, ... Nothing is guessed: two names that contradict each
other are refused until one is chosen with :class:`LabelKeys`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import Array, Frame
from keel.atoms.stress_units import STRESS_CONVENTIONS
from keel.errors import ConfigError, DataError

if TYPE_CHECKING:
    from ase import Atoms

T = TypeVar("T")

EXTRAPOLATED_ENERGY = "energy_extrapolated"
"""Key in ``Frame.info`` of the energy that gave way to a force-consistent free energy."""
UNUSED_COLUMNS = "unused_columns"
"""Key in ``Frame.info`` of the names of the per-atom arrays that keel does not use."""
SET_ASIDE = "other_"
"""Prefix in ``Frame.info`` of labels that were not chosen."""

_PREFIXES = ("", "ref_", "dft_", "qm_", "vasp_", "cp2k_", "pbe_", "target_", "true_")


def _names(*stems: str) -> frozenset[str]:
    return frozenset(prefix + stem for prefix in _PREFIXES for stem in stems)


_FREE_ENERGY = _names("free_energy")
_ENERGY = _names("energy", "total_energy", "potential_energy", "totalenergy") | {"energy_dft", "energy_ref"}
_FORCES = _names("forces", "force") | {"forces_dft", "forces_ref"}
_STRESS = _names("stress", "stresses_total") | {"stress_dft", "stress_ref"}
_VIRIAL = _names("virial", "virials")
_LABELS = _FREE_ENERGY | _ENERGY | _FORCES | _STRESS | _VIRIAL


def is_label_name(key: str) -> bool:
    """Return whether a file's key of this name would be read as a label."""
    return key.lower() in _LABELS


@dataclass(frozen=True)
class LabelKeys:
    """The names under which a file keeps its labels, where they are not the common ones or must be chosen.

    Parameters
    ----------
    energy, forces, stress
        Key of each label; None searches the common names.
    stress_convention
        ``ase`` (eV/angstrom^3, compressed = negative), ``virial`` (eV), ``gpa`` or ``vasp-kbar``; None takes ``virial``
        for a key that is called so and ``ase`` for others.

    Raises
    ------
    ConfigError
        If the convention is not one of these.
    """

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    stress_convention: str | None = None

    def __post_init__(self) -> None:
        if self.stress_convention not in (None, *STRESS_CONVENTIONS):
            known = ", ".join(STRESS_CONVENTIONS)
            raise ConfigError(f"the stress convention {self.stress_convention!r} is not one of {known}")


@dataclass
class Record:
    """What a file says of one frame, before its labels are found."""

    numbers: NDArray[np.int64]
    positions: Array
    cell: Array
    pbc: NDArray[np.bool_]
    info: dict[str, Any]
    arrays: dict[str, Any]
    source: str

    @property
    def volume(self) -> float:
        """|det cell| in cubic angstrom."""
        return float(abs(np.linalg.det(self.cell)))


def frame_from_record(record: Record, keys: LabelKeys | None = None) -> Frame:
    """Return the labelled frame of a record; what is no label stays in ``info``.

    Raises
    ------
    DataError
        If two names contradict each other, a named key is absent, or a label has the wrong shape.
    """
    search = _Search(record, keys or LabelKeys())
    try:
        energy, forces, stress = search.energy(), search.forces(), search.stress()
    except DataError as error:
        raise DataError(f"{record.source}: {error}") from None
    return Frame(
        numbers=record.numbers,
        positions=record.positions,
        cell=record.cell,
        pbc=record.pbc,
        energy=energy,
        forces=forces,
        stress=stress,
        info=search.remaining_info(),
        source=record.source,
    )


def frame_from_ase(atoms: Atoms, source: str = "in memory", keys: LabelKeys | None = None) -> Frame:
    """Return the frame of an ``ase.Atoms``; labels come from its calculator's results, ``info`` and ``arrays``.

    A calculator is never asked to compute, and results that belong to other positions are not taken.
    """
    arrays = {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
    info = dict(atoms.info)
    if atoms.calc is not None and not atoms.calc.check_state(atoms):
        for key, value in atoms.calc.results.items():
            if value is None:
                continue
            target = arrays if np.ndim(value) and len(value) == len(atoms) and not is_global(key) else info
            if key in target and not _equal(target[key], value):
                raise DataError(f"{source}: the calculator's {key} contradicts the structure's own; remove one of them")
            target[key] = value
    record = Record(
        numbers=np.asarray(atoms.numbers, dtype=np.int64),
        positions=np.array(atoms.positions, dtype=np.float64),
        cell=np.array(atoms.cell.array, dtype=np.float64),
        pbc=np.array(atoms.pbc, dtype=bool),
        info=info,
        arrays=arrays,
        source=source,
    )
    return frame_from_record(record, keys)


def is_global(key: str) -> bool:
    """Return whether a label of this name belongs to the structure, not to each atom."""
    return key.lower() in _STRESS | _VIRIAL | _ENERGY | _FREE_ENERGY


class _Search:
    """The labels of one record; remembers which keys it has used."""

    def __init__(self, record: Record, keys: LabelKeys) -> None:
        self.record, self.keys = record, keys
        self.values = {**record.info, **record.arrays}
        self.notes: dict[str, Any] = {}
        self.used: set[str] = set()

    def energy(self) -> float | None:
        if self.keys.energy:
            return _number(self._named(self.keys.energy, "energy"), self.keys.energy)
        free = self._agreed({k: _number(v, k) for k, v in self._called(_FREE_ENERGY).items()}, "energy")
        plain = self._agreed({k: _number(v, k) for k, v in self._called(_ENERGY).items()}, "energy")
        if free is not None and plain is not None and not _equal(free, plain):
            self.notes[EXTRAPOLATED_ENERGY] = plain
        return plain if free is None else free

    def forces(self) -> Array | None:
        if self.keys.forces:
            return self._matrix(self._named(self.keys.forces, "forces"), self.keys.forces)
        return self._agreed({k: self._matrix(v, k) for k, v in self._called(_FORCES).items()}, "forces")

    def stress(self) -> Array | None:
        if self.keys.stress:
            found = {self.keys.stress: self._named(self.keys.stress, "stress")}
        else:
            found = self._called(_STRESS | _VIRIAL)
        stress = self._agreed({k: self._stress(v, k) for k, v in found.items()}, "stress")
        if stress is not None and not self.record.pbc.all():
            self.notes[SET_ASIDE + "stress"] = stress
            return None
        return stress

    def remaining_info(self) -> dict[str, Any]:
        """Info without the labels; labels that were not chosen get a name that is not read as one."""
        info = {k: v for k, v in self.record.info.items() if k not in self.used}
        info = {SET_ASIDE + k if is_label_name(k) else k: v for k, v in info.items()}
        columns = sorted(k for k in self.record.arrays if k not in self.used)
        if columns:
            info[UNUSED_COLUMNS] = " ".join(columns)
        return {**info, **self.notes}

    def _called(self, names: frozenset[str]) -> dict[str, Any]:
        return {k: v for k, v in self.values.items() if k.lower() in names}

    def _named(self, key: str, label: str) -> Any:
        if key not in self.values:
            there = ", ".join(sorted(self.values)) or "nothing"
            raise DataError(f"the key {key!r} named for the {label} is absent; the frame has {there}")
        self.used.add(key)
        return self.values[key]

    def _agreed(self, found: dict[str, T], label: str) -> T | None:
        self.used.update(found)
        values = list(found.values())
        if not all(_equal(values[0], v) for v in values[1:]):
            names = " and ".join(found)
            raise DataError(
                f"{names} contradict each other; choose one with LabelKeys({label}=...) or "
                f"`keel census FILE --{label}-key NAME --write OUT`"
            )
        return values[0] if values else None

    def _matrix(self, value: Any, key: str) -> Array:
        array, n = _floats(value, key), len(self.record.numbers)
        if array.size != 3 * n or array.ndim not in (1, 2) or (array.ndim == 2 and array.shape != (n, 3)):
            raise DataError(f"{key} has the shape {array.shape} but {n} atoms need ({n}, 3)")
        return array.reshape(n, 3)

    def _stress(self, value: Any, key: str) -> Array:
        convention = self.keys.stress_convention or ("virial" if "virial" in key.lower() else "ase")
        if convention == "virial" and self.record.volume == 0:
            raise DataError(f"{key} cannot be turned into a stress without a cell; add Lattice or remove {key}")
        try:
            return STRESS_CONVENTIONS[convention](_floats(value, key), self.record.volume)
        except DataError as error:
            raise DataError(f"{key} cannot be a stress: {error}") from None


def _floats(value: Any, key: str) -> Array:
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{key} is not numeric ({str(value)[:40]!r})") from None


def _number(value: Any, key: str) -> float:
    array = _floats(value, key)
    if array.size != 1:
        raise DataError(f"{key} should be one number but has {array.size}")
    return float(array.item())


def _equal(first: Any, second: Any) -> bool:
    try:
        return bool(np.allclose(first, second, rtol=1e-7, atol=1e-6))
    except (TypeError, ValueError):
        return bool(np.array_equal(first, second))

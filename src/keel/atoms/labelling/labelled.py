"""From what a file says of a structure to a frame: labels under their names, in keel's units, and which atoms may move.

Names are recognised in any case and with the usual prefixes: ``energy``, ``REF_energy``, ``dft_energy``,
``free_energy``, ``forces``, ``force``, ``stress``, ``virial``, ... Nothing is guessed: two names that contradict each
other are refused until one is chosen with :class:`LabelKeys`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keel.atoms.elements import atomic_number
from keel.atoms.frame import Frame
from keel.atoms.labelling.convergence import unconverged
from keel.atoms.labelling.motion import HELD_AT_ZERO, held_at_zero, motion_of
from keel.atoms.labelling.names import UNUSED_COLUMNS, is_global
from keel.atoms.labelling.search import no_labels, search
from keel.atoms.labelling.stated import of_parameters, totals
from keel.atoms.labelling.stated_units import StatedUnits
from keel.atoms.motion_columns import HELD_ALONG_LATTICE, NOT_KEPT, held_along
from keel.atoms.occupancy import refuse_partial_sites
from keel.atoms.record import USUAL, LabelKeys, Record, label_keys
from keel.errors import DataError, in_python, naming

if TYPE_CHECKING:
    from ase import Atoms

OF_OTHERS = "results of its calculator that belong to other"
"""Begins a remark, which says what is other: positions, cell, ..."""
__all__ = ["LabelKeys", "Record", "frame_from_ase", "frame_from_record", "record_of_ase"]


def frame_from_record(record: Record, keys: LabelKeys | None = None, *, labels: bool = True) -> Frame:
    """Return the frame of a record; what is no label stays in ``info``.

    Parameters
    ----------
    record
        What the file says.
    keys
        Names and units where they are not the usual ones.
    labels
        False: only the structure is of interest; labels are neither checked nor refused.

    Raises
    ------
    DataError
        If two names contradict each other, a named key is absent, or a label has the wrong shape.
    """
    refuse_partial_sites(record)
    if UNUSED_COLUMNS in record.info:
        record = replace(record, info={k: v for k, v in record.info.items() if k != UNUSED_COLUMNS})
    asked = keys or USUAL
    keys, stated = _filled(asked, record), StatedUnits(record.info, asked)
    stated.compare("length", keys.length_unit or "angstrom")
    if keys.length_unit is not None:
        record = replace(record, positions=record.positions * keys.length, cell=record.cell * keys.length)
    if record.types is not None and keys.elements is not None:
        record = replace(record, numbers=record.types, typed=True)
    if record.typed:
        record = replace(record, numbers=_elements(record, keys.elements), typed=False)
    motion, used, remarks = motion_of(record)
    if motion["forces_mask"] is not None:
        record = replace(record, arrays={**record.arrays, "forces_mask": motion["forces_mask"]})
    if labels and not keys.unconverged and (reason := record.unconverged or unconverged(record.info)):
        labels = False
        record = replace(record, remarks=(*record.remarks, f"{reason}: the labels are not used"))
    with naming(record.source):
        found = search(record, keys, stated) if labels else no_labels(record, stated)
    columns = sorted(found.unused_columns - used)
    if found.forces is not None and (mask := motion["forces_mask"]) is not None:
        # What is no label need not be a number.
        found.forces = np.where(mask[:, None] | np.isfinite(found.forces), found.forces, 0.0)
    if found.forces is None:
        motion["forces_mask"] = None
    elif (held := held_at_zero(found.forces, motion["fixed"])) is not None:
        motion["forces_mask"] = ~held if motion["forces_mask"] is None else motion["forces_mask"] & ~held
        found.remarks.append(HELD_AT_ZERO)
        if not motion["forces_mask"].any():
            found.forces = motion["forces_mask"] = None
    return Frame(
        numbers=record.numbers,
        positions=record.positions,
        cell=record.cell,
        pbc=record.pbc,
        energy=found.energy,
        forces=found.forces,
        stress=found.stress,
        info=totals(record.arrays, len(record.numbers)) | found.info,
        source=record.source,
        unused=tuple(columns),
        remarks=(*record.remarks, *remarks, *found.remarks),
        read_in=keys.units,
        **motion,
    )


def _filled(keys: LabelKeys, record: Record) -> LabelKeys:
    """Return the user's keys, and the format's where he names none and the frame has them."""
    usual = record.usual
    if usual is USUAL:
        return keys
    there = record.info.keys() | record.arrays.keys()

    def named(label: str) -> str | None:
        own: str | None = getattr(usual, label)
        return getattr(keys, label) or (own if own in there else None)

    of_usual = usual.stress is not None and named("stress") == usual.stress
    return replace(
        keys,
        energy=named("energy"),
        forces=named("forces"),
        stress=named("stress"),
        stress_convention=keys.stress_convention or (usual.stress_convention if of_usual or not usual.stress else None),
        energy_unit=keys.energy_unit or usual.energy_unit,
        forces_unit=keys.forces_unit or usual.forces_unit,
        length_unit=keys.length_unit or usual.length_unit,
    )


def _elements(record: Record, elements: tuple[str, ...] | None) -> NDArray[np.int64]:
    types = int(record.numbers.max())
    if elements is None or len(elements) < types:
        keys = in_python("LabelKeys(elements=...)")
        raise DataError(
            f"{record.source}: it has atoms of {types} type{'s' * (types != 1)} but does not say which elements they "
            f"are; name them in order with {keys}--elements Si,O (`keel census FILE --elements "
            "Si,O --write OUT`)"
        )
    return np.array([atomic_number(e) for e in elements], dtype=np.int64)[record.numbers - 1]


def frame_from_ase(
    atoms: Atoms,
    source: str = "in memory",
    keys: LabelKeys | Mapping[str, Any] | None = None,
    *,
    labels: bool = True,
) -> Frame:
    """Return the frame of an ``ase.Atoms``; labels come from its calculator's results, ``info`` and ``arrays``.

    A calculator is never run, and results for other positions are ignored.

    Parameters
    ----------
    atoms
        The structure.
    source
        Its name in messages.
    keys, labels
        See :func:`frame_from_record`.

    Raises
    ------
    DataError
        As :func:`frame_from_record`, and if results of the calculator contradict the structure's own.
    """
    return frame_from_record(record_of_ase(atoms, source), label_keys(keys), labels=labels)


def record_of_ase(atoms: Atoms, source: str) -> Record:
    """Return what an ``ase.Atoms`` says.

    Raises
    ------
    DataError
        If results of its calculator contradict its own values.
    """
    arrays = {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
    info = dict(atoms.info)
    results, of_others = _results(atoms)
    if results:
        info |= of_parameters(getattr(atoms.calc, "parameters", None) or {})
    for key, value in results.items():
        target = arrays if np.ndim(value) and len(value) == len(atoms) and not is_global(key) else info
        if key in target and not same_value(target[key], value):
            raise DataError(f"{source}: the calculator's {key} contradicts the structure's own; remove one of them")
        target[key] = value
    return Record(
        numbers=np.array(atoms.numbers, dtype=np.int64),
        positions=np.array(atoms.positions, dtype=np.float64),
        cell=np.array(atoms.cell.array, dtype=np.float64),
        pbc=np.array(atoms.pbc, dtype=bool),
        info=info,
        arrays=arrays,
        source=source,
        fixed=_fixed(atoms),
        remarks=(*of_others, *_other_constraints(atoms)),
    )


def _results(atoms: Atoms) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what its calculator has computed for a structure, and a remark if that was for another one."""
    found = {} if atoms.calc is None else {k: v for k, v in atoms.calc.results.items() if v is not None}
    changes = atoms.calc.check_state(atoms) if found else []
    return ({}, (f"{OF_OTHERS} {', '.join(changes)}: not used",)) if changes else (found, ())


def _fixed(atoms: Atoms) -> NDArray[np.bool_] | None:
    """Return which Cartesian components are fixed by ASE's constraints, shape (N, 3), or None."""
    from ase.constraints import FixAtoms, FixCartesian, FixScaled

    fixed = np.zeros((len(atoms), 3), dtype=bool)
    for constraint in atoms.constraints:
        if isinstance(constraint, FixAtoms):
            fixed[constraint.index] = True
        elif isinstance(constraint, FixCartesian):
            fixed[constraint.index] |= np.asarray(constraint.mask, dtype=bool)
        elif isinstance(constraint, FixScaled):
            fixed[constraint.index] |= held_along(np.atleast_2d(constraint.mask).astype(bool), atoms.cell.array)[0]
    return fixed if fixed.any() else None


def _other_constraints(atoms: Atoms) -> tuple[str, ...]:
    """Name the constraints that do not fix single components: a frame cannot store them."""
    from ase.constraints import FixScaled

    kept = ("FixAtoms", "FixCartesian", "FixScaled", "FixCom")
    names = sorted({type(constraint).__name__ for constraint in atoms.constraints} - set(kept))
    masks = [np.atleast_2d(c.mask).astype(bool) for c in atoms.constraints if isinstance(c, FixScaled)]
    lost = any(mask.any() and not held_along(mask, atoms.cell.array).any() for mask in masks)
    said = (HELD_ALONG_LATTICE,) if lost else ()
    return (*said, f"{NOT_KEPT}: {', '.join(names)}") if names else said


def same_value(first: Any, second: Any) -> bool:
    """Return whether two values are the same but for rounding."""
    try:
        return bool(np.allclose(first, second, rtol=1e-7, atol=1e-6))
    except (TypeError, ValueError):
        return bool(np.array_equal(first, second))

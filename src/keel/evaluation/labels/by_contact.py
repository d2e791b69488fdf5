"""Errors by how close atoms are, also where a potential has seen few data or none.

Energies and pressures belong to the closest contact of a structure, a force to that of its atom. Contacts are in bonds,
sums of the covalent radii of the two atoms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.atoms.closest import closest_contacts
from keel.atoms.conversion import Structures, as_frames
from keel.atoms.elements import symbol
from keel.atoms.frame import Array, Frame
from keel.atoms.isolated import is_isolated
from keel.atoms.neighbours import labelled_atoms
from keel.atoms.units import GPA
from keel.comparison.statistics import clustered_mean
from keel.errors import DataError
from keel.fitting.offsets import compositions, least_absolute
from keel.potentials.accuracy import MILLI, Accuracy
from keel.potentials.base import Potential
from keel.potentials.batches import known_to
from keel.showing import Shown

EDGES = (0.5, 0.6, 0.75, 0.9, 1.1)
"""Limits of the bins, in sums of covalent radii. Below 0.5 atoms count as fused and simulations end; below 0.75
contacts are rare in DFT data; bonds at rest are at 0.9 to 1.1, and heat, pressure and multiple bonds bring them to 0.75
to 0.9; beyond 1.1 an atom has no neighbour."""
UNITS = {"forces": "meV/angstrom", "energy": "meV/atom", "pressure": "GPa"}
"""Units of errors and labels, by quantity."""
FRAMES_PER_OFFSET = 3
"""With fewer frames per element, fitted offsets would absorb the errors to be judged, so energies are left out."""

NAMED = 10
"""Number of unknown elements that a sentence names."""


@dataclass(frozen=True, eq=False, repr=False)
class ContactErrors(Shown):
    """The errors of one quantity in each bin of contacts, in the units of :data:`UNITS`; columns of shape (bins,).

    Parameters
    ----------
    lower, upper
        The contacts that belong to the bin, lower <= contact < upper; the last has no end.
    contact
        Median contact in the bin; infinite where the typical atom has no neighbour, NaN where there is no value.
    frames, formulas, values
        Structures that the values are from, their different formulas, and values: atoms of forces, else structures.
    error, low, high
        Mean absolute error and its 95 % interval; NaN where there is no value, an open end infinite.
    label
        Mean absolute label, the error of a potential that predicts zero: no force, no pressure, and one energy for
        each element.
    excess_low, excess_high
        The 95 % interval of error - label, of the same structures.
    """

    lower: Array
    upper: Array
    contact: Array
    frames: Array
    formulas: Array
    values: Array
    error: Array
    low: Array
    high: Array
    label: Array
    excess_low: Array
    excess_high: Array

    @property
    def names(self) -> list[str]:
        """Names of the bins: ``"0.6 to 0.75"``."""
        return [bin_name(*ends) for ends in zip(self.lower.tolist(), self.upper.tolist(), strict=True)]

    @property
    def rows(self) -> list[dict[str, float]]:
        """Return each bin as an object, counts as whole numbers."""
        columns: dict[str, list[float]] = {f.name: getattr(self, f.name).tolist() for f in fields(self)}
        columns |= {name: list(map(int, columns[name])) for name in ("frames", "formulas", "values")}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@dataclass(frozen=True, eq=False, repr=False)
class ErrorsByContact(Shown):
    """The errors of each labelled quantity by contact, and the zero of energy that they were found with.

    Parameters
    ----------
    quantities
        By the names of :data:`UNITS`, those that have labels.
    offsets
        By element, eV added to the energy of each of its atoms so that the mean absolute error of the energies per atom
        is least. Potentials count energies from zeros of their own; only differences remain.
    unjudged
        Why energies that have labels are left out; empty if they are not.
    """

    quantities: Mapping[str, ContactErrors]
    offsets: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    unjudged: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data, a list of bins for each quantity."""
        return {
            "contacts_in": "sums of covalent radii",
            "units": {name: UNITS[name] for name in self.quantities},
            "bins": {name: found.rows for name, found in self.quantities.items()},
            "energy_offsets_ev": dict(self.offsets),
            "unjudged": self.unjudged,
        }


@dataclass(frozen=True, eq=False)
class _Values:
    """Contact, number of the structure, error and label of each atom or structure, shape (K,)."""

    contact: Array
    structure: NDArray[np.int64]
    error: Array
    label: Array


def errors_by_contact(found: Accuracy, frames: Structures) -> ErrorsByContact:
    """Divide errors among bins of contacts, whose ends are :data:`EDGES`. Atoms alone have no contact and are left out.

    Errors and labels are means of absolute values: of the components of forces, of energies per atom once each element
    has the offset that suits the potential, or the labels, best, and of pressures -tr(stress) / 3.

    Intervals allow for the fact that atoms of one structure are not independent, nor are structures of one formula,
    which are often snapshots of one run or relaxation. Where all have one formula, structures count by how much
    successive ones resemble each other.

    Parameters
    ----------
    found
        The result of :func:`~keel.potentials.accuracy.accuracy` for these frames.
    frames
        In the same order.
    """
    frames = as_frames(frames)
    members = [f for f in frames if not is_isolated(f)]
    contacts = [closest_contacts(f, EDGES[-1]) for f in members]
    closest = np.array([c.min(initial=np.inf) for c in contacts])
    quantities = {"forces": _forces(found, members, contacts), "pressure": _pressures(found, members, closest)}
    energies, offsets, unjudged = _energies(found, members, closest)
    quantities["energy"] = energies
    formulas = np.unique([f.formula for f in members], return_inverse=True)[1]
    binned = {name: _binned(values, formulas) for name in UNITS if (values := quantities[name]) is not None}
    return ErrorsByContact(binned, offsets, unjudged)


@dataclass(frozen=True)
class LeftOut:
    """How many frames, of how many, have elements that a potential does not know, and which."""

    frames: int
    of: int
    elements: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The message for the user."""
        more = len(self.elements) - NAMED
        unknown = ", ".join(self.elements[:NAMED]) + (f" and {more} more elements" if more > 0 else "")
        return f"{self.frames} of {self.of} frames are left out: the potential does not know {unknown}."

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {"left_out_frames": self.frames, "unknown_elements": list(self.elements)}


def known_frames(potential: Potential, frames: Sequence[Frame]) -> tuple[list[Frame], LeftOut]:
    """Return the frames whose elements a potential knows, and what is left out.

    Raises
    ------
    DataError
        If it knows none of them.
    """
    known = known_to(potential, frames)
    elements = {int(z) for f in frames for z in f.numbers}
    unknown = elements - set(elements if potential.elements is None else potential.elements)
    left_out = LeftOut(len(frames) - len(known), len(frames), tuple(map(symbol, sorted(unknown))))
    if frames and not known:
        knows = ", ".join(map(symbol, potential.elements or ()))
        raise DataError(
            f"{frames[0].source} and all other frames, {len(frames)} in all, have elements that the potential does not "
            f"know; give frames that contain only {knows}"
        )
    return known, left_out


def bin_name(lower: float, upper: float) -> str:
    """Return the name of a bin: ``"below 0.5"``, ``"0.5 to 0.6"``, ``"from 1.1"``."""
    if lower == 0:
        return f"below {upper:g}"
    return f"{lower:g} to {upper:g}" if np.isfinite(upper) else f"from {lower:g}"


def _forces(found: Accuracy, frames: Sequence[Frame], contacts: Sequence[Array]) -> _Values | None:
    if not found.forces.reference.size:
        return None
    labelled = [labelled_atoms(f) for f in frames]
    structure = np.repeat(np.arange(len(frames)), [int(mask.sum()) for mask in labelled])
    contact = np.concatenate([c[mask] for c, mask in zip(contacts, labelled, strict=True)])
    error, label = found.forces.prediction - found.forces.reference, found.forces.reference
    return _Values(contact, structure, MILLI * np.abs(error).mean(axis=1), MILLI * np.abs(label).mean(axis=1))


def _pressures(found: Accuracy, frames: Sequence[Frame], closest: Array) -> _Values | None:
    if not found.stress.reference.size:
        return None
    known = np.flatnonzero([f.stress is not None and bool(f.pbc.all()) for f in frames])
    predicted, label = (-s[:, :3].mean(axis=1) / GPA for s in (found.stress.prediction, found.stress.reference))
    return _Values(closest[known], known, np.abs(predicted - label), np.abs(label))


def _energies(found: Accuracy, frames: Sequence[Frame], closest: Array) -> tuple[_Values | None, dict[str, float], str]:
    """Return energies with the offsets of the elements, or why they cannot be judged."""
    known = np.flatnonzero([f.energy is not None for f in frames])
    if not len(known):
        return None, {}, ""
    members = [frames[k] for k in known.tolist()]
    elements = sorted({int(z) for f in members for z in f.numbers})
    shares, error = compositions(members, elements), found.energy.reference - found.energy.prediction
    rank = int(np.linalg.matrix_rank(shares, tol=1e-6))
    if len(known) < FRAMES_PER_OFFSET * rank:
        few = f"{len(known)} frames are too few to determine the energy zeros of {rank} independent compositions"
        return None, {}, f"{few}, {FRAMES_PER_OFFSET} for each are needed"
    finite = np.isfinite(error)
    offsets = least_absolute(shares[finite], error[finite])
    rest = found.energy.reference - shares @ least_absolute(shares, found.energy.reference)
    values = _Values(closest[known], known, MILLI * np.abs(error - shares @ offsets), MILLI * np.abs(rest))
    return values, dict(zip(map(symbol, elements), offsets.tolist(), strict=True)), ""


def _binned(values: _Values, formulas: NDArray[np.int64]) -> ContactErrors:
    """Divide values among bins; ``formulas`` has the number of the formula of each structure."""
    place = np.digitize(values.contact, EDGES)
    ends = (0.0, *EDGES, np.inf)
    columns = [(*ends[k : k + 2], *_bin(values, place == k, formulas)) for k in range(len(EDGES) + 1)]
    return ContactErrors(*np.array(columns, dtype=np.float64).T)


def _bin(values: _Values, chosen: NDArray[np.bool_], formulas: NDArray[np.int64]) -> tuple[float, ...]:
    """Return the columns of a bin from ``contact`` on."""
    if not chosen.any():
        return np.nan, 0, 0, 0, *[np.nan] * 6
    structure, error, label = values.structure[chosen], values.error[chosen], values.label[chosen]
    formula = formulas[structure]
    together, in_order = (formula, False) if formulas.any() else (structure, True)
    mean, excess = (clustered_mean(x, together, in_order=in_order) for x in (error, error - label))
    contact = float(np.quantile(values.contact[chosen], 0.5, method="lower"))
    counts = (len(np.unique(structure)), len(np.unique(formula)), len(error))
    found = (mean.value, max(mean.low, 0.0), mean.high, float(label.mean()))
    return contact, *counts, *found, excess.low, excess.high

"""One labelled structure, as in a file: plain numpy, float64, no neighbour list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keel.atoms.labelling.names import LABELS
from keel.atoms.labelling.stated import charge_and_spin
from keel.atoms.motion_columns import constraints, reals
from keel.showing import Facts, Shown

if TYPE_CHECKING:
    from ase import Atoms

Array = NDArray[np.float64]


PERIODIC = ("in no direction", "in one direction", "in two directions", "in three directions")
VOIGT = ((0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1))
"""Rows and columns of xx yy zz yz xz xy, the six components of a symmetric matrix in ASE's order."""


@dataclass(frozen=True, eq=False, repr=False)
class Frame(Shown):
    """A structure of N atoms with its labels.

    Parameters
    ----------
    numbers
        Atomic numbers, shape (N,).
    positions
        Cartesian positions in angstrom, shape (N, 3).
    cell
        Rows are the lattice vectors in angstrom, shape (3, 3); zero where there is none.
    pbc
        Periodic along each lattice vector, shape (3,).
    energy
        Total energy in eV, or None.
    forces
        Forces in eV/angstrom, shape (N, 3), or None.
    stress
        (1/V) dE/d strain in eV/angstrom^3 (ASE's sign: compressed = negative diagonal), shape (3, 3), or None.
    info
        Everything else in the file about the frame (``topology``, trajectory id, ...).
    source
        Where it comes from, for messages: ``"file.extxyz, frame 12"`` (frames count from 0).
    forces_mask
        True for atoms whose forces are labels, shape (N,); None: all of them. Forces of constrained atoms are not
        labels.
    fixed
        Cartesian components that are fixed in the file, shape (N, 3), or None.
    masses
        In u, shape (N,), if they differ from those of the elements.
    velocities
        In angstrom/fs, shape (N, 3), or None.
    unused
        Names of the columns of atoms that keel does not use.
    remarks
        What its reader did not use and why; :func:`keel.atoms.remarks.notes` counts those of many frames.
    read_in
        Units in which labels were read, where they were named: the convention of ``stress``, the units of ``energy``
        and ``forces``.
    """

    numbers: NDArray[np.int64]
    positions: Array
    cell: Array = field(default_factory=lambda: np.zeros((3, 3)))
    pbc: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(3, dtype=bool))
    energy: float | None = None
    forces: Array | None = None
    stress: Array | None = None
    info: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    source: str = "in memory"
    forces_mask: NDArray[np.bool_] | None = None
    fixed: NDArray[np.bool_] | None = None
    masses: Array | None = None
    velocities: Array | None = None
    unused: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    read_in: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of atoms."""
        return len(self.numbers)

    @property
    def volume(self) -> float:
        """|det cell| in cubic angstrom (0 without a cell)."""
        return float(abs(np.linalg.det(self.cell)))

    @property
    def formula(self) -> str:
        """Chemical formula in Hill order."""
        from ase.data import chemical_symbols
        from ase.formula import Formula

        return str(Formula.from_list([chemical_symbols[z] for z in self.numbers]).format("hill"))

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        labels = [label for label in LABELS if getattr(self, label) is not None]
        return {
            "atoms": self.formula,
            "periodic": PERIODIC[int(np.sum(self.pbc))],
            "labels": ", ".join(labels) or "none",
            "from": self.source,
        }

    def picture(self) -> str:
        """See :class:`~keel.showing.Shown`."""
        from keel.atoms.picture import drawing

        return drawing(self.numbers, self.positions, self.cell, self.formula)

    def replace(self, **changes: Any) -> Frame:
        """Return a copy with some fields changed."""
        return replace(self, **changes)

    def unlabelled(self) -> Frame:
        """Return a copy without energy, forces and stress."""
        return replace(self, energy=None, forces=None, stress=None, forces_mask=None)

    def scaled(self, length: float) -> Frame:
        """Return the unlabelled structure with all its distances, and its cell, ``length`` times as long."""
        return self.unlabelled().replace(positions=length * self.positions, cell=length * self.cell)

    def without(self, label: str, remark: str) -> Frame:
        """Return a copy without one label, and with a remark that says why."""
        changes: dict[str, Any] = {label: None, "remarks": (*self.remarks, remark)}
        return replace(self, **changes | ({"forces_mask": None} if label == "forces" else {}))

    def taken(self, atoms: NDArray[np.int64] | NDArray[np.bool_]) -> Frame:
        """Return the unlabelled structure of some atoms, or of all in another order, by index or by mask.

        Of some only, charge and spin are not known.
        """
        names = ("numbers", "positions", "fixed", "masses", "velocities")
        own = {name: getattr(self, name) for name in names}
        part = {name: values[atoms] for name, values in own.items() if values is not None}
        whole = len(part["numbers"]) == len(self)
        return (self if whole else self._without_state()).unlabelled().replace(**part)

    def _without_state(self) -> Frame:
        """Return a copy whose ``info`` states no charge and spin."""
        stated = charge_and_spin(self.info)
        return self.replace(info={k: v for k, v in self.info.items() if k not in stated}) if stated else self

    def repeated(self, repeats: Sequence[int]) -> Frame:
        """Return the unlabelled supercell with this many cells along each lattice vector.

        Its first atoms are those of the frame. Charge and spin of several cells are not known.

        Parameters
        ----------
        repeats
            Number of cells along each lattice vector, shape (3,).
        """
        cells = np.indices(tuple(repeats)).reshape(3, -1).T

        def tiled(values: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if values is None else np.tile(values, (len(cells), *[1] * (values.ndim - 1)))

        return (
            (self if len(cells) == 1 else self._without_state())
            .unlabelled()
            .replace(
                numbers=np.tile(self.numbers, len(cells)),
                positions=(cells[:, None, :] @ self.cell + self.positions).reshape(-1, 3),
                cell=self.cell * np.array(repeats)[:, None],
                **{name: tiled(getattr(self, name)) for name in ("fixed", "masses", "velocities")},
            )
        )

    def to_ase(self) -> Atoms:
        """Return ``ase.Atoms`` with the labels in a ``SinglePointCalculator``.

        What is fixed becomes constraints, which ``get_forces`` applies; masses, momenta and ``forces_mask`` are arrays.
        """
        from ase import Atoms
        from ase.calculators.singlepoint import SinglePointCalculator

        atoms = Atoms(self.numbers, positions=self.positions, cell=self.cell, pbc=self.pbc, info=dict(self.info))
        for name, values in reals(self.numbers, self.masses, self.velocities).items():
            atoms.set_array(name, values if values.shape[1] > 1 else values[:, 0])
        if self.forces_mask is not None:
            atoms.set_array("forces_mask", self.forces_mask)
        atoms.set_constraint(constraints(self.fixed))
        labels: dict[str, Any] = {}
        if self.energy is not None:
            labels["energy"] = self.energy
        if self.forces is not None:
            labels["forces"] = self.forces
        if self.stress is not None:
            labels["stress"] = self.stress[VOIGT]
        if labels:
            atoms.calc = SinglePointCalculator(atoms, **labels)
        return atoms

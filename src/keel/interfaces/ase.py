"""Any potential as an ASE calculator: MD, relaxation (of the cell too), NEB, phonons and all other ASE scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes

from keel.atoms.frame import VOIGT
from keel.atoms.stressed import stress_volumes
from keel.disagreement import COLUMN, disagreement
from keel.errors import ConfigError, DataError, NotFiniteError
from keel.interfaces.moving import Moving, opened
from keel.potentials.convert import floating
from keel.potentials.external.opening import Given
from keel.showing import Facts, Shown


class KeelCalculator(Shown, Calculator):  # type: ignore[misc]  # ASE is not typed
    """ASE calculator around a potential.

    Offers energy (eV), free_energy (the same), energies (share of each atom, eV), forces (eV/angstrom) and stress
    (eV/angstrom^3, Voigt order). Slabs, two-dimensional crystals and wires have ASE's stress: per volume of the cell,
    vacuum included, so that cell filters relax them in their plane (``mask=[1, 1, 0, 0, 0, 1]``) or along their axis
    (``mask=[0, 0, 1, 0, 0, 0]``).
    Copies and pickles include potential and results, but no neighbour list: they are small and independent of the
    original.

    With potentials beside, ``results`` also has ``force_disagreement``, how far they disagree about the force on each
    atom (:mod:`keel.disagreement`; eV/angstrom, shape (N,)), and ``max_force_disagreement``, the largest of these.
    ``atoms.calc.get_property("force_disagreement", atoms)`` returns it; each call then evaluates all potentials.

    Parameters
    ----------
    potential
        A potential, or an object with one, such as the result of a training, or the name of one, see
        :func:`keel.open_potential`.
    device
        ``"cpu"``, ``"cuda"``, ...; None keeps the potential's.
    dtype
        ``"float32"``, ``"float64"`` or a torch dtype; None keeps the potential's. float64 suits phonons and tight
        relaxations, float32 is faster in MD.
    default_dtype
        The same under its name in MACE's calculator; ``""`` keeps the potential's, too.
    compile
        Run networks compiled; worthwhile from about 500,000 atoms times steps.
    skin
        Of the neighbour list in angstrom: a larger one is rebuilt less often, but takes longer to filter at every call.
    beside
        Other potentials to compare forces with, given as the first is, whose precision and device they get.
    arguments, trust
        How a named potential is opened, see :func:`keel.open_potential`; those beside have no arguments.

    Raises
    ------
    DataError
        If the file is not a potential, or the atoms include an element that the potential does not know.
    ConfigError
        If dtype or device cannot be used, dtype and default_dtype differ, or the named potential cannot be opened in
        this way.
    PropertyNotImplementedError
        If the stress is requested and the structure is not periodic or its cell has no volume, or the potential has
        none.

    Examples
    --------
    >>> from ase.build import bulk
    >>> import keel
    >>> atoms = bulk("Ar", cubic=True)
    >>> atoms.calc = keel.KeelCalculator(keel.LennardJones())
    >>> atoms.get_forces().shape
    (4, 3)
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "energies", "forces", "stress"]

    def __init__(
        self,
        potential: Given,
        device: torch.device | str | None = None,
        dtype: torch.dtype | str | None = None,
        *,
        default_dtype: torch.dtype | str | None = None,
        compile: bool = False,
        skin: float = 0.5,
        beside: Given | Sequence[Given] = (),
        arguments: Mapping[str, Any] | None = None,
        trust: bool = False,
    ) -> None:
        super().__init__()
        self.results: dict[str, Any] = {}
        self.potential = opened(potential, _precision(dtype, default_dtype), device, arguments, trust=trust)
        self.moving = Moving(self.potential, compile=compile, skin=skin)
        others = beside if isinstance(beside, list | tuple) else [beside]
        place = self.potential.dtype, self.potential.device
        self.beside = [Moving(opened(o, *place, trust=trust), compile=compile, skin=skin) for o in others]
        if self.beside:
            # For this calculator only: without potentials beside there is no disagreement.
            self.implemented_properties = [*self.implemented_properties, COLUMN, f"max_{COLUMN}"]  # type: ignore[misc]

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        return {"of": self.potential.called(), **self.potential.facts()}

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute all properties at once; called by ASE.

        Parameters
        ----------
        atoms, properties, system_changes
            As in ASE.

        Raises
        ------
        DataError
            If there are no atoms, the potential does not know an element, or atoms have too many neighbours.
        NotFiniteError
            If the energy or forces are not finite.
        PropertyNotImplementedError
            If the stress is requested and there is none.
        """
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        if not len(self.atoms):
            raise DataError("the structure has no atoms")
        if (ghosts := np.flatnonzero(self.atoms.numbers < 1)).size:
            raise DataError(f"atom {ghosts[0]} is X, a dummy or ghost atom; remove it")
        if "stress" in (properties or ()):
            check_stress(self.atoms)
        cell, pbc = self.atoms.cell.array, self.atoms.pbc
        system = self.atoms.numbers, self.atoms.positions, cell, pbc, self.atoms.info
        found = self.moving.evaluate(*system)
        energy = float(found.energies.sum())
        if not (np.isfinite(energy) and np.isfinite(found.forces).all()):
            raise NotFiniteError(
                "the energy or the forces are not finite (NaN or infinity); atoms may lie on each other, or the "
                "potential is damaged"
            )
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "energies": found.energies,
            "forces": found.forces,
        }
        if self.beside:
            apart = disagreement(found.forces, [other.evaluate(*system).forces for other in self.beside])
            self.results |= {COLUMN: apart, f"max_{COLUMN}": float(apart.max(initial=0.0))}
        volume = stress_volumes(cell[None], pbc[None])[0]
        # An ASE calculator may have no stress; it then returns NaN with a finite energy.
        if np.isfinite(volume) and not (np.isnan(found.virial).all() and np.isfinite(energy)):
            self.results["stress"] = found.virial.reshape(3, 3)[VOIGT] / volume
        elif "stress" in (properties or ()):
            raise PropertyNotImplementedError("this potential has no stress")


def check_stress(atoms: Atoms) -> None:
    """Raise a PropertyNotImplementedError that says why, where atoms have no stress (:mod:`keel.atoms.stressed`)."""
    if np.isfinite(stress_volumes(atoms.cell.array[None], atoms.pbc[None]))[0]:
        return
    if not atoms.pbc.any():
        raise PropertyNotImplementedError("a stress needs a cell that is periodic in one direction at least")
    lengths = atoms.cell.lengths()
    missing = np.flatnonzero(lengths == 0).tolist() or [int(np.argmin(lengths))]
    axes = missing[0] if len(missing) == 1 else tuple(missing)
    raise PropertyNotImplementedError(
        f"the cell has no volume that a stress could refer to; give it one, for example with "
        f"atoms.center(vacuum=10, axis={axes})"
    )


def _precision(dtype: torch.dtype | str | None, default_dtype: torch.dtype | str | None) -> torch.dtype | None:
    """Return the precision that the two names of the argument agree on."""
    asked = {floating(given) for given in (dtype, default_dtype) if given not in (None, "")}
    if len(asked) > 1:
        raise ConfigError(
            f"dtype {dtype} and default_dtype {default_dtype} are two names of the same argument; give one"
        )
    return asked.pop() if asked else None

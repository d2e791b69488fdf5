"""Any potential as an ASE calculator: MD, relaxation (of the cell too), NEB, phonons, whatever ASE scripts do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes

from keel.atoms.frame import Array, Frame
from keel.atoms.stressed import FEWEST_DIRECTIONS, stress_volumes
from keel.atoms.verlet import VerletList
from keel.errors import ConfigError
from keel.parallel import plain
from keel.potentials.classical.along import Along, AlongLists, follows_lists
from keel.potentials.compiling.compiled import compiling
from keel.potentials.convert import converted, floating
from keel.potentials.external.given import Given, as_potential
from keel.potentials.external.opening import open_potential
from keel.process import keep_freed_memory
from keel.showing import Facts, Shown

VOIGT_PLACES = [0, 4, 8, 5, 2, 1]
"""Of xx yy zz yz xz xy in a matrix row by row."""

MADE_ON_USE = {"_kernel", "_tensors", "_state", "_list", "_listed", "_volume"}
"""Attributes of a calculator that a copy does without."""


class KeelCalculator(Shown, Calculator):  # type: ignore[misc]  # ASE is not typed
    """ASE calculator around a potential.

    Offers energy (eV), free_energy (the same), energies (share of each atom, eV), forces (eV/angstrom) and stress
    (eV/angstrom^3, Voigt order). Slabs and two-dimensional crystals, periodic in two directions, have ASE's stress: per
    volume of the cell, vacuum included, so that cell filters relax them in their plane (``mask=[1, 1, 0, 0, 0, 1]``).
    Copies and pickles hold potential
    and results, but no neighbour list: they are small, and independent of the original.

    Parameters
    ----------
    potential
        A potential, or what has one, such as the result of a training, or the name of one, see
        :func:`keel.open_potential`.
    device
        ``"cpu"``, ``"cuda"``, ...; None keeps the potential's.
    dtype
        ``"float32"``, ``"float64"`` or a torch dtype; None keeps the potential's. float64 suits phonons and tight
        relaxations, float32 is faster in MD.
    default_dtype
        The same under the name that MACE's calculator has for it; ``""`` keeps the potential's, too.
    compile
        Run networks compiled: worth it from about 500,000 atoms times steps.
    skin
        Of the neighbour list in angstrom: larger is rebuilt less often, and filtered longer at every call.
    arguments, trust
        How a potential that is named is opened, see :func:`keel.open_potential`.

    Raises
    ------
    DataError
        If the file is no potential, or the atoms hold an element that the potential does not know.
    ConfigError
        If dtype or device cannot be used, dtype and default_dtype differ, or what is named cannot be opened so.
    PropertyNotImplementedError
        If the stress is asked for and the cell is periodic in fewer than two directions or has no volume, or the
        potential has none.

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
        arguments: Mapping[str, Any] | None = None,
        trust: bool = False,
    ) -> None:
        super().__init__()
        self.results: dict[str, Any] = {}
        keep_freed_memory()
        if isinstance(potential, str | Path):
            potential = open_potential(potential, arguments, trust=trust)
        self.potential = converted(as_potential(potential), _precision(dtype, default_dtype), device)
        self.compile, self.skin = compile, skin
        self._without_graph = follows_lists(self.potential)
        self._forget()

    def _forget(self) -> None:
        """Have no kernel and no list."""
        self._kernel: Along | None = None
        self._tensors = [*self.potential.parameters(), *self.potential.buffers()]
        self._state: list[tuple[int, int]] = []
        self._list: VerletList | None = None
        self._listed: tuple[np.ndarray, ...] = ()
        self._volume = np.array([np.nan])

    def __getstate__(self) -> dict[str, Any]:
        # Kernels and lists are found again where the copy is used; they are large, and cannot be pickled.
        return {name: value for name, value in vars(self).items() if name not in MADE_ON_USE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        return {"of": type(self.potential).__name__, **self.potential.facts()}

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute all properties at once; called by ASE."""
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        if "stress" in (properties or ()):
            check_stress(self.atoms)
        energy, stress = self._along(self.atoms) if self._without_graph else self._by_graph(self.atoms)
        self.results |= {"energy": energy, "free_energy": energy}
        # A calculator of ASE may have none; a number that is none beside a good energy says so.
        if np.isfinite(self._volume[0]) and not (np.isnan(stress).all() and np.isfinite(energy)):
            self.results["stress"] = stress.ravel()[VOIGT_PLACES]
        elif "stress" in (properties or ()):
            raise PropertyNotImplementedError("this potential has no stress")

    def _along(self, atoms: Atoms) -> tuple[float, Array]:
        """Leave energies of atoms and forces in the results, found without a graph; return energy and stress."""
        pairs = self._neighbours(atoms).pairs(torch.from_numpy(atoms.positions))
        found = self._bound()(pairs, atoms.positions)
        energies = found.energies + plain(self.potential.offsets()).take(pairs.numbers)
        self.results = {"energies": energies, "forces": found.forces}
        return float(energies.sum()), found.stress(self._volume)[0]

    def _bound(self) -> Along:
        """Return the potential's kernel with the parameters that it has now."""
        state = [(t.data_ptr(), t._version) for t in self._tensors]
        if self._kernel is None or state != self._state:
            assert isinstance(self.potential, AlongLists)
            self._kernel, self._state = self.potential.along_lists(), state
        return self._kernel

    def _by_graph(self, atoms: Atoms) -> tuple[float, Array]:
        """Do the same with a graph."""
        positions = torch.tensor(atoms.positions, dtype=torch.float64, device=self.potential.device)
        graph, vectors = self._neighbours(atoms).update(positions)
        with compiling(self.potential, self.compile, 0):
            prediction = self.potential(graph, vectors=vectors)
        assert prediction.forces is not None
        assert prediction.stress is not None
        forces = prediction.forces.double().cpu().numpy()
        self.results = {"energies": prediction.atomic_energies.cpu().numpy(), "forces": forces}
        return float(prediction.energy[0]), prediction.stress[0].double().cpu().numpy()

    def _neighbours(self, atoms: Atoms) -> VerletList:
        """Return the list of these atoms; a new one when anything but their positions has changed."""
        system = (atoms.numbers.copy(), np.array(atoms.cell.array), atoms.pbc.copy())
        same = len(self._listed) and all(np.array_equal(a, b) for a, b in zip(system, self._listed, strict=True))
        if self._list is None or not same:
            frame = Frame(*(system[0].astype(np.int64), np.array(atoms.positions), *system[1:]))
            self._list = VerletList(
                [frame],
                self.potential.cutoff,
                skin=self.skin,
                half_list=self.potential.half_list,
                dtype=self.potential.dtype,
                device=self.potential.device,
            )
            self._listed = system
            self._volume = stress_volumes(frame.cell[None], frame.pbc[None])
            # Refuses elements that the potential does not know.
            self.potential.prepare(self._list.update(torch.from_numpy(frame.positions).to(self.potential.device))[0])
        return self._list


def check_stress(atoms: Atoms) -> None:
    """Raise a PropertyNotImplementedError that says why, where atoms have no stress (:mod:`keel.atoms.stressed`)."""
    if np.isfinite(stress_volumes(atoms.cell.array[None], atoms.pbc[None]))[0]:
        return
    if atoms.pbc.sum() < FEWEST_DIRECTIONS:
        raise PropertyNotImplementedError("a stress needs a cell that is periodic in two or three directions")
    axis = int(np.argmin(atoms.cell.lengths()))
    raise PropertyNotImplementedError(
        f"the cell has no volume that a stress could refer to; give lattice vector {axis} a length, for example with "
        f"atoms.center(vacuum=10, axis={axis})"
    )


def _precision(dtype: torch.dtype | str | None, default_dtype: torch.dtype | str | None) -> torch.dtype | None:
    """Return the one precision that both names of the argument ask for."""
    asked = {floating(given) for given in (dtype, default_dtype) if given not in (None, "")}
    if len(asked) > 1:
        raise ConfigError(f"dtype {dtype} and default_dtype {default_dtype} are two names of one argument; give one")
    return asked.pop() if asked else None

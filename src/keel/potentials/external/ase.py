"""Any ASE calculator as a potential: for labels, simulations and as a teacher; it cannot be trained."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keel.atoms.elements import atomic_numbers_of
from keel.atoms.graph import AtomGraph
from keel.atoms.stressed import stress_volumes
from keel.errors import ConfigError, KeelWarning, RefusedError, UnavailableError
from keel.kinds import imported
from keel.potentials.base import Potential
from keel.potentials.external.calculated import has, results_of
from keel.potentials.external.origin import origin_of

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

Array = NDArray[np.float64]

LISTS = 5.0
"""Cutoff in angstrom of the neighbour lists of batches, which are for criteria and probes only, if none is given."""
VACUUM = 10.0
"""Angstrom on either side of a molecule in the box of a calculator that needs a cell: 20 between two images."""
OF_CELLS = re.compile(r"\bcells?\b|lattice|pbc|periodic|singular|volume", re.IGNORECASE)
"""Words of errors that a box may cure."""


class ASEPotential(Potential):
    """Energy, forces and stress of an ASE calculator: a semi-empirical method, DFT, or a potential of another package.

    The energy is the force-consistent free energy where the calculator gives one. It says nothing about single atoms,
    so each has an equal share. The stress is NaN where the calculator has none. A structure on which the calculation
    fails (``ase``'s ``CalculationFailed``, such as a density that does not converge) has NaN for all of them, with a
    warning; perturbed structures without finite labels are set aside and counted.

    Calculators may differentiate with torch. Where one refuses the first structure that is not periodic in three
    directions, or later one with an error about cells, but takes it in a large periodic box (20 angstrom from image to
    image), all such structures go into boxes from then on (``boxed``), with a warning. Any other error stays one.

    ``atoms.info`` has charge and spin where a frame's ``info`` states them as numbers, under the same names; initial
    charges and magnetic moments of atoms are not passed on.

    Parameters
    ----------
    calculator
        A calculator, or the import path of its class or of a function that returns one, such as
        ``"ase.calculators.emt.EMT"``.
    arguments
        Keyword arguments of that class.
    cutoff
        Beyond which no force acts directly, in angstrom; None: not known. The calculator makes its own neighbour lists.
    elements
        Symbols or atomic numbers that it knows; None: as the calculator states.

    Raises
    ------
    UnavailableError
        If nothing can be imported from the path.
    ConfigError
        If it cannot be called with the arguments.
    RefusedError
        When it is used: if the calculator refuses a structure.

    Examples
    --------
    >>> from ase.build import bulk
    >>> import keel
    >>> from keel.potentials.external import ASEPotential
    >>> emt = ASEPotential("ase.calculators.emt.EMT")
    >>> emt(keel.batch(bulk("Cu", cubic=True), cutoff=5.0)).forces.shape
    torch.Size([4, 3])
    """

    of_others = True
    calculator: Any

    def __init__(
        self,
        calculator: Calculator | str,
        arguments: Mapping[str, Any] | None = None,
        *,
        cutoff: float | None = None,
        elements: Iterable[int | str] | None = None,
    ) -> None:
        known = None if elements is None else atomic_numbers_of(elements)
        super().__init__(LISTS if cutoff is None else cutoff, known)
        self.range_known = cutoff is not None
        self._made_by = (calculator, dict(arguments or {})) if isinstance(calculator, str) else None
        with _default_dtype(torch.get_default_dtype()):
            made = _new(*self._made_by) if self._made_by else calculator
            # Some calculators set it for the whole process, and rely on it.
            self._default_dtype = torch.get_default_dtype()
        # Not a submodule, even where it is a module: it keeps its precision and its device.
        object.__setattr__(self, "calculator", made)
        self._in_boxes: list[bool] = []  # whether structures without three periods go into boxes; empty: not yet known
        self._precision = self._precision.double()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # The calculator is shared: many hold processes, files or foreign memory, which have no copies.
        cutoff = self.cutoff if self.range_known else None
        other = type(self)(self.calculator, cutoff=cutoff, elements=self.elements)
        other.set_offsets(dict(enumerate(self.energy_offsets.tolist())))
        other.source, other._made_by, other._default_dtype = self.source, self._made_by, self._default_dtype
        other._in_boxes = self._in_boxes  # shared: what one copy finds out holds for all
        return other.to(device=self.device, dtype=self.dtype)

    def __getstate__(self) -> dict[str, Any]:
        # Named calculators are pickled by name and made again: many, such as ASE's EMT, cannot be pickled once used.
        return vars(self) | ({"calculator": None} if self._made_by else {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        if self._made_by:
            with _default_dtype(self._default_dtype):
                object.__setattr__(self, "calculator", _new(*self._made_by))

    @property
    def boxed(self) -> bool:
        """Whether structures not periodic in three directions go into boxes, because they are refused otherwise."""
        return any(self._in_boxes)

    def config(self) -> NoReturn:
        """Refuse: a calculator is more than numbers."""
        raise ConfigError(
            "an ASE calculator cannot be saved as a potential; name the calculator where it is used "
            "(teacher: {calculator: ase.calculators.emt.EMT} in the configuration of a run, or in Python)"
        )

    def origin(self) -> dict[str, Any]:
        """Return what distinguishes the calculator from others, see :func:`keel.identity.stated`."""
        return origin_of(self.calculator, self._made_by)

    def save(self, path: str) -> NoReturn:
        """Refuse, see :meth:`config`."""
        self.config()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> NoReturn:
        """Refuse: a file that names what to import could run anything."""
        del config
        raise UnavailableError(
            "an ASE calculator cannot be read from a potential file, because such a file could then run any code"
        )

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> NoReturn:
        """Refuse: a calculator gives forces on atoms, not derivatives with respect to edge vectors."""
        raise ConfigError("an ASE calculator cannot be trained")

    def energies(self, graph: AtomGraph) -> Tensor:
        """See :class:`Potential`."""
        return self._shares(graph, self._results(self.prepare(graph), forces=False)[0])

    def derivatives(
        self, graph: AtomGraph, *, differentiable: bool, vectors: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See :class:`Potential`; the results are constants, even with ``differentiable``."""
        energy, forces, stress = self._results(self.prepare(graph), forces=True)
        return self._shares(graph, energy), forces.to(self.dtype), (stress * graph.volume[:, None, None]).to(self.dtype)

    def _results(self, graph: AtomGraph, *, forces: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return energies (B,), forces (N, 3) and stresses (B, 3, 3) in float64."""
        rows = [self._calculate(atoms, forces) for atoms in structures(graph)]
        energy, force, stress = zip(*rows, strict=True)
        arrays = np.array(energy), np.concatenate(force), np.stack(stress)
        return tuple(torch.from_numpy(a).to(self.device) for a in arrays)  # type: ignore[return-value]

    def _calculate(self, atoms: Atoms, forces: bool) -> tuple[float, Array, Array]:
        from ase.calculators.calculator import CalculationFailed

        nothing = float("nan"), np.full((len(atoms), 3), np.nan), np.full((3, 3), np.nan)
        if not np.isfinite(atoms.positions).all():
            return nothing
        name = type(self.calculator).__name__
        try:
            # Gradients are off where nothing is trained, but the calculator may need its own.
            with torch.enable_grad(), self._as_made():
                energy, force, stress = self._in_a_box_if_needed(atoms, forces)
        except CalculationFailed as error:
            warnings.warn(f"{name} failed on {atoms.symbols} ({_line(error)})", KeelWarning, stacklevel=2)
            return nothing
        except RefusedError:
            raise
        except Exception as error:
            raise RefusedError(f"{name} refuses {atoms.symbols}: {type(error).__name__}: {_line(error)}") from error
        return energy, nothing[1] if force is None else force, nothing[2] if stress is None else stress

    def _as_made(self) -> AbstractContextManager[None]:
        """Set torch's default dtype to the one that the calculator set when it was made."""
        return _default_dtype(self._default_dtype)

    def _in_a_box_if_needed(self, atoms: Atoms, forces: bool) -> tuple[float, Array | None, Array | None]:
        from ase.calculators.calculator import CalculationFailed

        stressed = forces and np.isfinite(stress_volumes(atoms.cell.array[None], atoms.pbc[None])[0])
        stress = bool(stressed) and has(self.calculator, "stress")
        if atoms.pbc.all():
            return results_of(self.calculator, atoms, forces, stress=stress)
        if self.boxed:
            return results_of(self.calculator, in_a_box(atoms), forces, stress=False)
        try:
            found = results_of(self.calculator, atoms, forces, stress=stress)
        except (CalculationFailed, RefusedError):
            raise
        except Exception as error:
            # What has taken one without a box needs none: a box would hide a lost server, and change energies.
            if self._in_boxes and not OF_CELLS.search(str(error)):
                raise
            try:
                found = results_of(self.calculator, in_a_box(atoms), forces, stress=False)
            except Exception:
                raise error from None
            self._put_in_boxes(f"refuses {atoms.symbols} without one ({_line(error)})")
        else:
            self._in_boxes[:] = [False]
        return found

    def _put_in_boxes(self, why: str) -> None:
        """Put all structures that are not periodic in three directions into boxes from now on, with a warning."""
        if not self.boxed:
            warnings.warn(
                f"molecules, slabs and wires are computed in a periodic box, {2 * VACUUM:g} angstrom from image to "
                f"image, because {type(self.calculator).__name__} {why}",
                KeelWarning,
                stacklevel=2,
            )
        self._in_boxes[:] = [True]

    def _shares(self, graph: AtomGraph, energy: Tensor) -> Tensor:
        return (energy / graph.atoms_per_structure).index_select(0, graph.batch)


def structures(graph: AtomGraph) -> list[Atoms]:
    """Return the structures of a batch as ``ase.Atoms``, with charge and spin in ``info`` where they are stated."""
    from ase import Atoms

    numbers, positions, cells, pbc = (
        t.detach().cpu().numpy() for t in (graph.numbers, graph.positions.double(), graph.cell.double(), graph.pbc)
    )
    ends = np.cumsum(graph.atoms_per_structure.cpu().numpy())[:-1]
    states = graph.states or ({},) * len(cells)
    parts = zip(np.split(numbers, ends), np.split(positions, ends), cells, pbc, states, strict=True)
    return [Atoms(z, positions=x, cell=cell, pbc=periodic, info=dict(state)) for z, x, cell, periodic, state in parts]


def in_a_box(atoms: Atoms) -> Atoms:
    """Return a structure with :data:`VACUUM` on either side where it is not periodic, in a cell that is periodic."""
    boxed = atoms.copy()
    boxed.center(vacuum=VACUUM, axis=np.flatnonzero(~atoms.pbc))
    boxed.pbc = True
    return boxed


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _new(path: str, arguments: Mapping[str, Any]) -> Calculator:
    try:
        make = imported(path)
    except (ImportError, ValueError, AttributeError) as error:
        raise UnavailableError(f"the calculator {path!r} cannot be imported ({_line(error)})") from None
    try:
        made = make(**arguments)
    except Exception as error:
        raise ConfigError(f"the calculator {path!r} cannot be made with {dict(arguments)} ({_line(error)})") from None
    if isinstance(made, Potential):
        raise ConfigError(f"{path} is a potential of keel, not an ASE calculator: save it, and name the file")
    return cast("Calculator", made)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())

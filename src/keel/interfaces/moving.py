"""A structure that another program moves: evaluated step after step, with a lasting neighbour list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from keel.atoms.frame import Array, Frame
from keel.atoms.labelling.stated import charge_and_spin
from keel.atoms.verlet import VerletList
from keel.counting import count
from keel.errors import DataError
from keel.parallel import plain
from keel.potentials.base import Potential
from keel.potentials.classical.along import Along, AlongLists, follows_lists
from keel.potentials.compiling.compiled import compiling
from keel.potentials.convert import converted
from keel.potentials.external.opening import Given, open_potential
from keel.process import keep_freed_memory


class Moved(NamedTuple):
    """Predictions of a potential for N atoms, float64.

    Parameters
    ----------
    energies, forces
        Of each atom: in eV (N,), offsets included, and in eV/angstrom (N, 3).
    virial
        Sum over the pairs of r (x) dE/dr, which is the volume times the stress, in eV (3, 3); NaN where a potential
        has none.
    """

    energies: Array
    forces: Array
    virial: Array


class Moving:
    """Evaluates a structure that moves with a potential.

    The neighbour list is that of the last call with the same atoms and cell; only its pairs within the cutoff count.

    Parameters
    ----------
    potential
        The potential, in its precision and on its device.
    compile
        Run networks compiled.
    skin
        Of the neighbour list in angstrom.
    """

    def __init__(self, potential: Potential, *, compile: bool = False, skin: float = 0.5) -> None:
        keep_freed_memory()
        self.potential, self.compile, self.skin = potential, compile, skin
        self._without_graph = follows_lists(potential)
        self._tensors = [*potential.parameters(), *potential.buffers()]
        self._forget()

    def _forget(self) -> None:
        self._kernel: Along | None = None
        self._state: list[tuple[int, int]] = []
        self._list: VerletList | None = None
        self._listed: tuple[np.ndarray, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        # Lists and kernels hold objects that cannot be copied, and are quickly rebuilt.
        return {"potential": self.potential, "compile": self.compile, "skin": self.skin}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def evaluate(
        self,
        numbers: NDArray[np.int64],
        positions: Array,
        cell: Array,
        pbc: NDArray[np.bool_],
        info: Mapping[str, Any] | None = None,
    ) -> Moved:
        """Return energies, forces and virial.

        Parameters
        ----------
        numbers, positions
            Atomic numbers (N,), and positions in angstrom (N, 3), which need not lie in the cell.
        cell, pbc
            Lattice vectors as rows in angstrom (3, 3), and whether each is a period (3,).
        info
            May state charge and spin, see :class:`~keel.atoms.graph.AtomGraph`.

        Raises
        ------
        DataError
            If positions or cell are not finite, the potential does not know an element, or atoms have too many
            neighbours.
        """
        if not (np.isfinite(positions).all() and np.isfinite(cell).all()):
            raise DataError("positions or cell are not finite (NaN or infinity)")
        neighbours = self._neighbours(numbers, positions, cell, pbc, charge_and_spin(info or {}))
        return self._along(neighbours, positions) if self._without_graph else self._by_graph(neighbours, positions)

    def _along(self, neighbours: VerletList, positions: Array) -> Moved:
        pairs = neighbours.pairs(torch.from_numpy(positions))
        found = self._bound()(pairs, positions)
        energies = found.energies + plain(self.potential.offsets()).take(pairs.numbers)
        return Moved(energies, found.forces, found.stress(np.ones(1))[0])

    def _bound(self) -> Along:
        """Return the potential's kernel with its present parameters."""
        state = [(t.data_ptr(), t._version) for t in self._tensors]
        if self._kernel is None or state != self._state:
            assert isinstance(self.potential, AlongLists)
            self._kernel, self._state = self.potential.along_lists(), state
        return self._kernel

    def _by_graph(self, neighbours: VerletList, positions: Array) -> Moved:
        # A copy: results and lists must not change with the caller's array.
        where = torch.tensor(positions, dtype=torch.float64, device=self.potential.device)
        graph, vectors = neighbours.update(where)
        count(1)
        with torch.no_grad(), compiling(self.potential, self.compile, 0):
            found = self.potential.derivatives(graph, differentiable=False, vectors=vectors.to(graph.positions.dtype))
        energies, forces, virial = (t.detach().double() for t in found)
        energies = energies + self.potential.offsets().index_select(0, graph.numbers)
        virial = 0.5 * (virial[0] + virial[0].T)
        return Moved(energies.cpu().numpy(), forces.cpu().numpy(), virial.cpu().numpy())

    def _neighbours(
        self,
        numbers: NDArray[np.int64],
        positions: Array,
        cell: Array,
        pbc: NDArray[np.bool_],
        state: Mapping[str, float],
    ) -> VerletList:
        """Return the list of these atoms; a new one when anything but their positions has changed."""
        system = numbers, cell, pbc, np.array(sorted(state.items()), dtype=object)
        same = len(self._listed) and all(np.array_equal(a, b) for a, b in zip(system, self._listed, strict=True))
        if self._list is None or not same:
            frame = Frame(
                np.array(numbers, dtype=np.int64), np.array(positions), np.array(cell), np.array(pbc), info=state
            )
            self._listed = frame.numbers, frame.cell, frame.pbc, system[-1]
            self._list = VerletList(
                [frame],
                self.potential.cutoff,
                skin=self.skin,
                half_list=self.potential.half_list,
                dtype=self.potential.dtype,
                device=self.potential.device,
            )
            # Refuses elements that the potential does not know.
            self.potential.prepare(self._list.update(torch.from_numpy(frame.positions).to(self.potential.device))[0])
        return self._list


def opened(
    potential: Given,
    dtype: torch.dtype | str | None,
    device: torch.device | str | None,
    arguments: Mapping[str, Any] | None = None,
    *,
    trust: bool = False,
) -> Potential:
    """Return a potential, given as such or by name (:func:`keel.open_potential`), in a precision on a device.

    Raises
    ------
    ConfigError, DataError
        If dtype or device cannot be used, or the named potential cannot be opened in this way.
    """
    return converted(open_potential(potential, arguments, trust=trust), dtype, device)

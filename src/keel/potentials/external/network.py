"""What networks from other packages have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NoReturn

from torch import Tensor

from keel.atoms.graph import AtomGraph
from keel.potentials.base import Potential
from keel.potentials.networks.network import Edges, Network


class ForeignNetwork(Network):
    """A network whose energies another package computes: E_i = scale * model_i + offset of the element.

    A concrete one gives ``model`` and ``architecture`` and implements :meth:`atomic_energies`. Its code is run as its
    authors wrote it, never compiled.

    Attributes
    ----------
    model
        The module of the other package.
    architecture
        The arguments of the constructor besides elements and cutoff, JSON-compatible.
    """

    model: Any
    architecture: dict[str, Any]

    def config(self) -> dict[str, Any]:
        """See :class:`Potential`."""
        return {"elements": list(self.elements or ()), "cutoff": self.cutoff, **self.architecture}

    @abstractmethod
    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        """See :class:`Potential`."""

    def energies_and_gradient(
        self, graph: AtomGraph, vectors: Tensor, *, differentiable: bool
    ) -> tuple[Tensor, Tensor]:
        """See :class:`Potential`."""
        # Unlike other networks, which may be compiled.
        return Potential.energies_and_gradient(self, graph, vectors, differentiable=differentiable)

    def chain(self, edges: Edges) -> NoReturn:
        """Refuse: other packages need more of a batch than ``edges``."""
        raise NotImplementedError(f"the energies of a {type(self).__name__} are those of atomic_energies")

"""The sum of potentials is a potential."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any, Self

import torch
from torch import Tensor, nn

from keel.atoms.graph import AtomGraph
from keel.errors import ConfigError
from keel.identity import stated
from keel.potentials.base import Potential
from keel.potentials.classical.along import Along, AlongLists, Found
from keel.potentials.loading import build
from keel.showing import Facts


class SumPotential(Potential):
    """E = sum over members of weight * E_member, e.g. a network on a ZBL core, or the difference of two potentials.

    Parameters
    ----------
    members
        The potentials; their per-element offsets add up too.
    weights
        Of each member; None: 1.

    Raises
    ------
    ConfigError
        If there is no member, not one weight for each, or no element that all members know.
    """

    def __init__(self, members: Iterable[Potential], weights: Iterable[float] | None = None) -> None:
        members = list(members)
        factors = [1.0] * len(members) if weights is None else [float(w) for w in weights]
        if len(factors) != len(members):
            raise ConfigError(f"{len(members)} members need {len(members)} weights, not {len(factors)}")
        if not members:
            raise ConfigError("a SumPotential needs at least one member")
        known = [set(m.elements) for m in members if m.elements is not None]
        common = set.intersection(*known) if known else None
        if common is not None and not common:
            raise ConfigError("the members of a SumPotential have no element in common")
        super().__init__(max(m.cutoff for m in members), common)
        self.members, self.weights = nn.ModuleList(members), tuple(factors)
        self._precision = members[0]._precision  # of members without tensors
        self.half_list = all(m.half_list for m in members)
        self.closed_form = all(m.closed_form for m in members)

    def config(self) -> dict[str, Any]:
        """See :class:`Potential`."""
        members = [{"potential": type(m).__name__, "config": m.config()} for m in self._members()]
        return {"members": members, "weights": list(self.weights)}

    def origin(self) -> dict[str, Any]:
        """Return what distinguishes a sum with calculators from others, see :func:`keel.identity.stated`."""
        return {"members": [stated(member)[:2] for member in self._members()], "weights": list(self.weights)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the members from their configurations."""
        return cls([build(m["potential"], m["config"]) for m in config["members"]], config.get("weights"))

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        of = ", ".join(f"{'' if w == 1 else f'{w:g} x '}{m.called()}" for m, w in self._weighted())
        return {"of": of, **super().facts()}

    def offsets(self) -> Tensor:
        """See :class:`Potential`; the members' offsets add up."""
        total = self.energy_offsets
        for member, weight in self._weighted():
            total = total + weight * member.offsets()
        return total

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        """See :class:`Potential`."""
        total = vectors.new_zeros(graph.n_atoms)
        for member, weight in self._weighted():
            part, edges = _part(member, graph, vectors)
            total = total + weight * member.atomic_energies(part, _rows(vectors, edges, member)).to(total.dtype)
        return total

    def energies_and_gradient(
        self, graph: AtomGraph, vectors: Tensor, *, differentiable: bool
    ) -> tuple[Tensor, Tensor]:
        """See :class:`Potential`; each member in its own way: in closed form, compiled, layer by layer."""
        energies, gradient = vectors.new_zeros(graph.n_atoms), torch.zeros_like(vectors)
        for member, weight in self._weighted():
            part, edges = _part(member, graph, vectors)
            # Detached from the others': a member may need gradients of its own edges.
            own = _rows(vectors, edges, member).detach()
            e, g = member.energies_and_gradient(part, own, differentiable=differentiable)
            e, g = weight * e.to(energies.dtype), weight * g.to(gradient.dtype)
            energies = energies + e
            gradient = gradient + g if edges is None else gradient.index_add(0, edges, g)
        return energies, gradient

    def energies(self, graph: AtomGraph) -> Tensor:
        """See :class:`Potential`."""
        if self._along_edges():
            return super().energies(graph)
        parts = [w * m.energies(graph.to(dtype=m.dtype)).to(self.dtype) for m, w in self._weighted()]
        return torch.stack(parts).sum(dim=0)

    def derivatives(
        self, graph: AtomGraph, *, differentiable: bool, vectors: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See :class:`Potential`; the results of members without edges, such as ASE calculators, add up."""
        if self._along_edges():
            return super().derivatives(graph, differentiable=differentiable, vectors=vectors)
        parts = [
            [w * part.to(self.dtype) for part in m.derivatives(graph.to(dtype=m.dtype), differentiable=differentiable)]
            for m, w in self._weighted()
        ]
        energies, forces, virial = (torch.stack(some).sum(dim=0) for some in zip(*parts, strict=True))
        return energies, forces, virial

    def _along_edges(self) -> bool:
        """Whether every member derives its forces from edge vectors."""
        return all(
            m._along_edges() if isinstance(m, SumPotential) else type(m).derivatives is Potential.derivatives
            for m in self._members()
        )

    def along_lists(self) -> Along:
        """See :class:`keel.potentials.classical.along.AlongLists`; every member must be one."""
        parts = [(m.along_lists(), weight) for m, weight in self._weighted() if isinstance(m, AlongLists)]
        return lambda pairs, positions: reduce(Found.plus, (f(pairs, positions).times(w) for f, w in parts))

    def _weighted(self) -> list[tuple[Potential, float]]:
        return list(zip(self._members(), self.weights, strict=True))

    def _members(self) -> list[Potential]:
        return [m for m in self.members if isinstance(m, Potential)]


def members_of(potential: Potential) -> list[Potential]:
    """Return the members of a sum in which each weighs 1, in their order; of anything else itself.

    Sums within it are taken apart too, unless they have offsets of their own.
    """
    if not isinstance(potential, SumPotential) or set(potential.weights) != {1.0}:
        return [potential]
    parts = [[m] if bool(m.energy_offsets.any()) else members_of(m) for m in potential._members()]
    return [member for part in parts for member in part]


def range_of(potential: Potential) -> float:
    """Return the distance in angstrom beyond which no force acts directly; infinite if a calculator does not say."""
    known = all(getattr(part, "range_known", True) for part in potential.modules())
    return potential.cutoff if known else math.inf


def together(members: Sequence[Potential]) -> Potential:
    """Return the sum of potentials; of one itself."""
    return members[0] if len(members) == 1 else SumPotential(members)


def _part(member: Potential, graph: AtomGraph, vectors: Tensor) -> tuple[AtomGraph, Tensor | None]:
    """Return the graph in a member's cutoff, list kind and dtype, and the edges that were kept (None: all)."""
    edges = None
    if member.cutoff < graph.cutoff or member.half_list != graph.half_list:
        with torch.no_grad():
            edges = (vectors.square().sum(dim=1) < member.cutoff**2).nonzero()[:, 0]
            if member.half_list and not graph.half_list:
                edges = edges[graph.select_edges(edges).one_of_each_pair()]
        graph = graph.select_edges(edges, cutoff=member.cutoff, half_list=member.half_list)
    return graph if graph.positions.dtype == member.dtype else graph.to(dtype=member.dtype), edges


def _rows(vectors: Tensor, edges: Tensor | None, member: Potential) -> Tensor:
    return (vectors if edges is None else vectors.index_select(0, edges)).to(member.dtype)

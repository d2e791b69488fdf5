"""The sum of potentials is a potential."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import torch
from torch import Tensor, nn

from keel.atoms.graph import AtomGraph
from keel.errors import ConfigError
from keel.potentials.base import Potential, edge_gradient


class SumPotential(Potential):
    """E = sum over members of E_member, e.g. a network on a ZBL core.

    Closed-form members are evaluated as such; all others share one automatic differentiation.

    Parameters
    ----------
    members
        The potentials; their per-element offsets add up.

    Raises
    ------
    ConfigError
        If there is no member, or no element that all members know.
    """

    def __init__(self, members: Iterable[Potential]) -> None:
        members = list(members)
        if not members:
            raise ConfigError("a SumPotential needs at least one member")
        known = [set(m.elements) for m in members if m.elements is not None]
        common = set.intersection(*known) if known else None
        if common is not None and not common:
            raise ConfigError("the members of a SumPotential have no element in common")
        super().__init__(max(m.cutoff for m in members), common)
        self.members = nn.ModuleList(members)
        self.half_list = all(m.half_list for m in members)
        self.closed_form = all(m.closed_form for m in members)

    def config(self) -> dict[str, Any]:
        """See :class:`Potential`."""
        return {"members": [{"potential": type(m).__name__, "config": m.config()} for m in self._members()]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the members from their configurations."""
        from keel.potentials.files import build

        return cls([build(m["potential"], m["config"]) for m in config["members"]])

    def offsets(self) -> Tensor:
        """See :class:`Potential`; the members' offsets add up."""
        total = self.energy_offsets
        for member in self._members():
            total = total + member.offsets()
        return total

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        """See :class:`Potential`."""
        return _energies(self._members(), graph, vectors)

    def energies_and_gradient(
        self, graph: AtomGraph, vectors: Tensor, *, differentiable: bool
    ) -> tuple[Tensor, Tensor]:
        """See :class:`Potential`."""
        energies, gradient = vectors.new_zeros(graph.n_atoms), torch.zeros_like(vectors)
        learned = [m for m in self._members() if not m.closed_form]
        if learned:
            with torch.enable_grad():
                if not vectors.requires_grad:
                    vectors = vectors.requires_grad_()
                energies = _energies(learned, graph, vectors)
                gradient = edge_gradient(energies, vectors, differentiable=differentiable)
        vectors = vectors.detach()
        for member in self._members():
            if member.closed_form:
                part, edges = _part(member, graph, vectors)
                e, g = member.energies_and_gradient(part, _rows(vectors, edges, member), differentiable=differentiable)
                g = g.to(gradient.dtype)
                energies = energies + e.to(energies.dtype)
                gradient = gradient + g if edges is None else gradient.index_add(0, edges, g)
        return energies, gradient

    def _members(self) -> list[Potential]:
        return [m for m in self.members if isinstance(m, Potential)]


def _energies(members: Iterable[Potential], graph: AtomGraph, vectors: Tensor) -> Tensor:
    total = vectors.new_zeros(graph.n_atoms)
    for member in members:
        part, edges = _part(member, graph, vectors)
        total = total + member.atomic_energies(part, _rows(vectors, edges, member)).to(total.dtype)
    return total


def _part(member: Potential, graph: AtomGraph, vectors: Tensor) -> tuple[AtomGraph, Tensor | None]:
    """Return the graph in a member's cutoff, list kind and dtype, and the edges that were kept (None: all)."""
    edges = None
    if member.cutoff < graph.cutoff or member.half_list != graph.half_list:
        with torch.no_grad():
            keep = vectors.square().sum(dim=1) < member.cutoff**2
            if member.half_list and not graph.half_list:
                keep &= graph.one_of_each_pair()
            edges = keep.nonzero()[:, 0]
        graph = graph.select_edges(edges, cutoff=member.cutoff, half_list=member.half_list)
    return graph if graph.positions.dtype == member.dtype else graph.to(dtype=member.dtype), edges


def _rows(vectors: Tensor, edges: Tensor | None, member: Potential) -> Tensor:
    return (vectors if edges is None else vectors.index_select(0, edges)).to(member.dtype)

"""The sum of potentials is a potential."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import torch
from torch import Tensor, nn

from keel.atoms.graph import AtomGraph
from keel.errors import ConfigError
from keel.potentials.base import Potential, edge_gradient, scatter_gradient


class SumPotential(Potential):
    """E = sum over members of E_member, e.g. a network on a ZBL core.

    Closed-form members are evaluated as such; all others share one automatic differentiation.

    Parameters
    ----------
    members
        The potentials; their per-element offsets add up.
    """

    def __init__(self, members: Iterable[Potential]) -> None:
        members = list(members)
        if not members:
            raise ConfigError("a SumPotential needs at least one member")
        known = [set(m.elements) for m in members if m.elements is not None]
        super().__init__(max(m.cutoff for m in members), set.intersection(*known) if known else None)
        self.members = nn.ModuleList(members)

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
        return torch.stack([_member_energies(m, graph, vectors) for m in self._members()]).sum(dim=0)

    def derivatives(self, graph: AtomGraph, *, differentiable: bool) -> tuple[Tensor, Tensor, Tensor]:
        """See :class:`Potential`."""
        results = [m.derivatives(graph, differentiable=differentiable) for m in self._members() if m.closed_form]
        learned = [m for m in self._members() if not m.closed_form]
        if learned:
            graph = self.prepare(graph).within(max(m.cutoff for m in learned))
            with torch.enable_grad():
                vectors = graph.edge_vectors()
                if not vectors.requires_grad:
                    vectors = vectors.requires_grad_()
                energies = torch.stack([_member_energies(m, graph, vectors) for m in learned]).sum(dim=0)
                gradient = edge_gradient(energies, vectors, differentiable=differentiable)
            results.append((energies, *scatter_gradient(graph, vectors.detach(), gradient)))
        energies, forces, virial = (torch.stack(parts).sum(dim=0) for parts in zip(*results, strict=True))
        return energies, forces, virial

    def _members(self) -> list[Potential]:
        return [m for m in self.members if isinstance(m, Potential)]


def _member_energies(member: Potential, graph: AtomGraph, vectors: Tensor) -> Tensor:
    """Atomic energies of one member from the edges of a full list that may reach further than it does."""
    with torch.no_grad():
        keep = vectors.square().sum(dim=1) < member.cutoff**2
        if member.half_list:
            keep &= graph.one_of_each_pair()
        edges = keep.nonzero()[:, 0]
    part = graph.select_edges(edges, cutoff=member.cutoff, half_list=member.half_list)
    return member.atomic_energies(part, vectors.index_select(0, edges))

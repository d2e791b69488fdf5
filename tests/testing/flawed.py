"""For each check of the contract a potential with one flaw, which that check finds first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from keel.atoms.graph import AtomGraph
from keel.potentials.base import Potential, Prediction
from small_potentials import Soft

Energies = Callable[[Tensor, AtomGraph, Tensor], Tensor]


def per_atom(graph: AtomGraph, values: Tensor) -> Tensor:
    """Return the sum of values of edges over the edges of each atom."""
    return values.new_zeros(graph.n_atoms).index_add(0, graph.edge_index[0], values)


def per_structure(graph: AtomGraph, values: Tensor) -> Tensor:
    """Return for each atom the mean of its structure."""
    total = values.new_zeros(graph.n_structures).index_add(0, graph.batch, values)
    return (total / graph.atoms_per_structure)[graph.batch]


WRONG_ENERGIES: dict[str, Energies] = {
    "result": lambda e, graph, v: e + 0 / per_atom(graph, torch.ones_like(v[:, 0])),
    "translation": lambda e, graph, v: e + graph.positions[:, 0],
    "rotation": lambda e, graph, v: e + per_atom(graph, v[:, 0] ** 2),
    "permutation": lambda e, graph, v: e + torch.arange(graph.n_atoms, dtype=v.dtype),
    "wrapping": lambda e, graph, v: e + per_atom(graph, graph.edge_shift.abs().sum(dim=1).to(v.dtype)),
    "hand": lambda e, graph, v: e + 0.01 * torch.linalg.det(graph.cell).sign()[graph.batch],
    "batching": lambda e, graph, v: e + e.mean(),
    "extensivity": lambda e, graph, v: e / graph.atoms_per_structure[graph.batch],
    "forces": lambda e, graph, v: e + 0.01 * e.detach(),
    "smooth_cutoff": lambda e, graph, v: e + per_atom(graph, torch.ones_like(v[:, 0])),
    "precision": lambda e, graph, v: e * (1 + torch.finfo(v.dtype).eps * 1e5),
}


class WrongEnergies(Soft):
    """Its energies are changed in the way that a check is to find."""

    def __init__(self, flaw: str) -> None:
        super().__init__()
        self.flaw = flaw

    def config(self) -> dict[str, Any]:
        return {"flaw": self.flaw}

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        return WRONG_ENERGIES[self.flaw](super().atomic_energies(graph, vectors), graph, vectors)


class WrongList(Soft):
    """Takes whatever edges there are."""

    def prepare(self, graph: AtomGraph) -> AtomGraph:
        return graph.to_full_list()

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        return super().atomic_energies(graph, vectors) + 1e-3 * per_atom(graph, vectors.square().sum(dim=1))


class WrongStress(Soft):
    def derivatives(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
        energies, forces, virial = super().derivatives(*args, **kwargs)
        return energies, forces, 1.001 * virial


class WrongOffsets(Soft):
    """Counts a millionth of them twice."""

    def forward(self, graph: AtomGraph, **options: Any) -> Prediction:
        found = super().forward(graph, **options)
        twice = 1e-6 * self.offsets()[graph.numbers]
        return replace(found, energy=found.energy.index_add(0, graph.batch, twice))


class KnowsAll(Soft):
    """Takes an element that it does not know for its last one."""

    def prepare(self, graph: AtomGraph) -> AtomGraph:
        return graph.within(self.cutoff).to_full_list()


class SmallLists(Soft):
    """Makes do with a list that is too short."""

    def prepare(self, graph: AtomGraph) -> AtomGraph:
        return super().prepare(graph) if graph.cutoff >= self.cutoff else graph


class InPlace(Soft):
    """Leaves its traces on the graph."""

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        energies = super().atomic_energies(graph, vectors)
        graph.positions.requires_grad_()
        return energies


class WrongConfig(Soft):
    def config(self) -> dict[str, Any]:
        return {"cutoff": self.cutoff + 1}


class HiddenParameter(Soft):
    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        return super().atomic_energies(graph, vectors) * self.strength.detach().sum()


OTHERS: dict[str, type[Potential]] = {
    "list_kinds": WrongList,
    "stress": WrongStress,
    "offsets": WrongOffsets,
    "unknown_elements": KnowsAll,
    "small_cutoff": SmallLists,
    "inputs_untouched": InPlace,
    "files": WrongConfig,
    "parameter_gradients": HiddenParameter,
}


def flawed(check: str) -> Potential:
    """Return the potential whose flaw a check finds."""
    return WrongEnergies(check) if check in WRONG_ENERGIES else OTHERS[check]()

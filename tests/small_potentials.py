"""Potentials of few parameters, for tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import keel
from keel.atoms.graph import AtomGraph
from keel.potentials.base import Potential
from keel.potentials.networks.network import Network
from keel.potentials.registry import concrete


class Soft(Potential):
    """A small potential with parameters that leaves its derivatives to automatic differentiation."""

    def __init__(self, cutoff: float = 3.0) -> None:
        super().__init__(cutoff, [8, 14])
        self.strength = nn.Parameter(torch.tensor([0.4, 0.9]))

    def config(self) -> dict[str, Any]:
        return {"cutoff": self.cutoff}

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        i, j = graph.edge_index
        r = torch.linalg.vector_norm(vectors, dim=1)
        strength = self.strength.index_select(0, self.species(graph))
        pair = strength[i] * strength[j] ** 2 * (1 - r / self.cutoff) ** 4
        return torch.tanh(pair.new_zeros(graph.n_atoms).index_add(0, i, pair))


def built_in_networks() -> dict[str, type[Network]]:
    """Return keel's own networks by their names."""
    known = concrete(Potential.registry, Network)
    return {name: cls for name, cls in known.items() if cls.__module__.startswith("keel.potentials.networks.")}


def eam() -> keel.EAM:
    potential = keel.EAM.from_elements(["Si", "O"], cutoff=5.0)
    potential.set_offsets({8: -430.0, 14: -120.0})
    return potential


def three_body() -> keel.ThreeBody:
    return keel.ThreeBody(
        {"O": [[1.0, 2.0, 0.0], [0.0, 0.4, 0.3]], "Si": [[0.1, -0.1, 5.0], [0.3, 0.5, 0.2]]},
        reaches=[1.5, 1.9],
        inner={"O-O": 1.0, "O-Si": 1.4, "Si-Si": 2.0},
    )


def cgcnn(**settings: Any) -> keel.CGCNN:
    torch.manual_seed(0)
    return keel.CGCNN(
        elements=["Si", "O"], cutoff=3.5, features=16, convolutions=2, gaussians=12, hidden=16, **settings
    )


def torchmd_et(**settings: Any) -> keel.TorchMDET:
    torch.manual_seed(0)
    network = keel.TorchMDET(elements=["Si", "O"], cutoff=3.5, channels=16, layers=2, heads=4, num_rbf=12, **settings)
    for name, parameter in network.named_parameters():
        # They start at zero, and then a filter vanishes at the cutoff by itself.
        if name.endswith("bias") and network.mode == "smooth":
            nn.init.normal_(parameter, std=0.3)
    return network


def m3gnet(**settings: Any) -> keel.M3GNet:
    torch.manual_seed(0)
    sizes = {"node_features": 12, "edge_features": 8, "units": 10, "blocks": 2}
    return keel.M3GNet(elements=["Si", "O"], cutoff=3.5, three_body_cutoff=3.0, **sizes, **settings)

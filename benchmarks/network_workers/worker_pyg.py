"""CGCNN as one writes it with PyTorch Geometric's CGConv: no batch norm; neighbour lists by vesin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from torch import Tensor, nn
from torch_geometric.nn import CGConv
from vesin import NeighborList
from worker import Task, md_steps, serve, training_step


class Network(nn.Module):
    def __init__(self, cutoff: float, features: int, convolutions: int, gaussians: int, hidden: int) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.embedding = nn.Embedding(20, features)
        self.convolutions = nn.ModuleList([CGConv(features, gaussians, aggr="add") for _ in range(convolutions)])
        self.register_buffer("centres", torch.linspace(0, cutoff, gaussians))
        self.exponent = -0.5 / (cutoff / (gaussians - 1)) ** 2
        self.readout = nn.Sequential(nn.Linear(features, hidden), nn.SiLU(), nn.Linear(hidden, 1))

    def forward(self, graph: dict[str, Tensor], vectors: Tensor) -> Tensor:
        e = torch.exp(self.exponent * (vectors.norm(dim=-1)[:, None] - self.centres) ** 2)
        x = self.embedding(graph["numbers"])
        for convolution in self.convolutions:
            x = convolution(x, graph["edges"].flip(0), e)
        return torch.zeros(len(graph["cell"])).index_add(0, graph["batch"], self.readout(x)[:, 0])


def graph_of(frames: list[Atoms], cutoff: float) -> dict[str, Tensor]:
    parts: dict[str, list[Any]] = {k: [] for k in ("numbers", "positions", "cell", "batch", "edges", "shift")}
    atoms_before = 0
    for k, atoms in enumerate(frames):
        i, j, shift = NeighborList(cutoff=cutoff, full_list=True).compute(
            points=atoms.positions, box=atoms.cell.array, periodic=True, quantities="ijS"
        )
        edges = np.stack([i, j]).astype(np.int64) + atoms_before
        values = (atoms.numbers, atoms.positions, atoms.cell.array[None], np.full(len(atoms), k), edges.T, shift)
        for part, value in zip(parts.values(), values, strict=True):
            part.append(torch.as_tensor(np.array(value)))
        atoms_before += len(atoms)
    graph = {name: torch.cat(part) for name, part in parts.items()}
    graph["edges"] = graph["edges"].T.contiguous()
    return {name: x.float() if x.is_floating_point() or name == "shift" else x.long() for name, x in graph.items()}


def predict(network: Network, graph: dict[str, Tensor], train: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Energy, forces and stress by differentiation with respect to positions and a strain, as is usual."""
    positions = graph["positions"].detach().requires_grad_()
    strain = torch.zeros(len(graph["cell"]), 3, 3, requires_grad=True)
    deformation = torch.eye(3) + 0.5 * (strain + strain.transpose(1, 2))
    x = torch.einsum("ni,nij->nj", positions, deformation[graph["batch"]])
    cell = graph["cell"] @ deformation
    i, j = graph["edges"]
    vectors = x[j] - x[i] + torch.einsum("ei,eij->ej", graph["shift"], cell[graph["batch"][i]])
    energy = network(graph, vectors)
    minus_forces, virial = torch.autograd.grad(energy.sum(), [positions, strain], create_graph=train)
    return energy, -minus_forces, virial / torch.linalg.det(graph["cell"]).abs()[:, None, None]


class PeerCalculator(Calculator):
    implemented_properties = ["energy", "forces", "stress"]

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        energy, forces, stress = predict(self.network, graph_of([atoms], self.network.cutoff), train=False)
        self.results = {
            "energy": float(energy.detach()),
            "forces": forces.detach().double().numpy(),
            "stress": stress[0].detach().double().numpy()[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
        }


def prepare(task: Task) -> Callable[[], object]:
    network = Network(task.cutoff, **task.options)
    if task.kind == "md":
        return md_steps(task, PeerCalculator(network))
    graph = graph_of(task.frames, task.cutoff)
    return training_step(task, network, lambda: predict(network, graph, train=True))


if __name__ == "__main__":
    serve(prepare)

"""Equivariant transformer of torchmd-net; it gives energies and forces, no stress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from torch import Tensor, nn
from torchmdnet.models.model import create_model
from worker import Task, md_steps, serve, training_step

MOST_NEIGHBOURS = 64


def create(task: Task) -> nn.Module:
    arguments = {
        "model": "equivariant-transformer",
        "embedding_dimension": task.options["channels"],
        "num_layers": task.options["layers"],
        "num_heads": 8,
        "num_rbf": 50,
        "rbf_type": "expnorm",
        "trainable_rbf": False,
        "activation": "silu",
        "attn_activation": "silu",
        "distance_influence": "both",
        "neighbor_embedding": True,
        "vector_cutoff": True,
        "cutoff_lower": 0.0,
        "cutoff_upper": task.cutoff,
        "max_z": 20,
        "max_num_neighbors": MOST_NEIGHBOURS,
        "aggr": "add",
        "equivariance_invariance_group": "O(3)",
        "static_shapes": False,
        "derivative": True,
        "atom_filter": -1,
        "prior_model": None,
        "output_model": "Scalar",
        "reduce_op": "add",
        "precision": 32,
        "box_vecs": None,
        "check_errors": True,
        "remove_ref_energy": False,
        "ensemble_size": 1,
        "atomic_weight": True,
    }
    return create_model(arguments)


def turned(atoms: Atoms) -> Atoms:
    """Return the atoms in a lower-triangular cell, which the peer's neighbour search asks for."""
    standard, rotation = atoms.cell.standard_form()
    return Atoms(atoms.numbers, atoms.positions @ rotation.T, cell=np.asarray(standard), pbc=True)


class PeerCalculator(Calculator):
    implemented_properties = ["energy", "forces"]

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        z = torch.tensor(atoms.numbers)
        x, box = (torch.tensor(a).float() for a in (atoms.positions, atoms.cell.array))
        energy, forces = self.network(z, x, None, box=box)
        self.results = {"energy": float(energy), "forces": forces.detach().double().numpy()}


def prepare(task: Task) -> Callable[[], object]:
    network, frames = create(task), [turned(a) for a in task.frames]
    if task.kind == "md":
        return md_steps(Task("md", frames, task.options), PeerCalculator(network))
    z = torch.tensor(np.concatenate([a.numbers for a in frames]))
    x = torch.tensor(np.concatenate([a.positions for a in frames])).float().requires_grad_()
    batch = torch.arange(len(frames)).repeat_interleave(torch.tensor([len(a) for a in frames]))
    box = torch.tensor(np.stack([a.cell.array for a in frames])).float()

    def predict() -> tuple[Tensor, Tensor, None]:
        energy, forces = network(z, x, batch, box=box)
        return energy.view(-1), forces, None

    return training_step(task, network, predict)


if __name__ == "__main__":
    serve(prepare)

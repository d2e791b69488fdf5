"""The loss of an EAM fit as it is written down, in PyTorch: what the kernels are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

import keel
from keel.atoms.frame import Frame
from keel.fitting.data import FitData
from keel.fitting.objective import GAUGE_WEIGHT


def torch_errors(
    frames: Sequence[Frame], data: FitData, model: keel.EAM, values: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return all weighted errors in one row, with the best offsets, and the mean density."""
    graph = keel.batch(frames, model.cutoff, half_list=True, dtype=torch.float64)
    vectors, (i, j) = graph.edge_vectors(), graph.edge_index
    r = vectors.norm(dim=1)
    found = model.terms(values).evaluate(r, graph.edge_index, model.species(graph))
    pull = (found.slope / r)[:, None] * vectors
    zeros = torch.zeros(graph.n_atoms, 3, dtype=torch.float64)
    forces = zeros.index_add(0, i, pull) - zeros.index_add(0, j, pull)
    outer = vectors[:, :, None] * pull[:, None, :]
    empty = torch.zeros(graph.n_structures, 3, 3, dtype=torch.float64)
    stress = empty.index_add(0, graph.batch[i], outer) / graph.volume[:, None, None]
    energy = torch.zeros(graph.n_structures, dtype=torch.float64).index_add(0, graph.batch, found.energies)
    weighted = (energy / torch.from_numpy(data.atoms) - torch.from_numpy(data.energy)) * _tensor(data.energy_weight)
    columns = _tensor(data.energy_weight[:, None] * data.composition)
    weighted = weighted - columns @ (torch.linalg.pinv(columns, rtol=1e-8) @ weighted)
    of_forces, of_stress = (
        _tensor(np.concatenate([getattr(chunk, name) for chunk in data.chunks]))
        for name in ("force_weight", "stress_weight")
    )
    labels = graph.labels
    assert labels is not None
    parts = (weighted, (forces - labels.forces) * of_forces, (stress - labels.stress) * of_stress)
    return torch.cat([part.reshape(-1) for part in parts]), found.density.mean()


def torch_loss(frames: Sequence[Frame], data: FitData, model: keel.EAM, values: Mapping[str, Tensor]) -> Tensor:
    """Return the loss without its prior."""
    errors, density = torch_errors(frames, data, model, values)
    return errors.square().sum() + GAUGE_WEIGHT * torch.log(density) ** 2


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))

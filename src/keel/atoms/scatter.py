"""From the gradient with respect to edge vectors to forces and virials."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from keel.atoms.graph import AtomGraph
from keel.kernels import kernels_run
from keel.parallel import plain


def scatter_gradient(graph: AtomGraph, vectors: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return forces (N, 3) and sum_e r_e (x) g_e (B, 3, 3) from the gradient g (E, 3) with respect to edge vectors."""
    if runs_kernels(vectors, gradient):
        return _scattered_by_kernel(graph, vectors, gradient)
    i, j = graph.edge_index
    # Along rows, and as a difference of two sums: index_add takes twice as long along columns on CPU, and ten times as
    # long with alpha = -1.
    zeros = gradient.new_zeros(3, graph.n_atoms)
    forces = (zeros.index_add(1, i, gradient.T) - zeros.index_add(1, j, gradient.T)).T.contiguous()
    return forces, _sum_of_outer_products(graph, vectors, gradient)


def runs_kernels(*edge_tensors: Tensor) -> bool:
    """Whether a kernel may take these tensors, one row for each edge: on CPU, and not differentiated."""
    return kernels_run() and all(
        type(t) is Tensor and t.device.type == "cpu" and not t.requires_grad and len(t) > 0 for t in edge_tensors
    )


def _scattered_by_kernel(graph: AtomGraph, vectors: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    from keel.atoms.kernels.scatter import scatter

    i, j = plain(graph.edge_index)
    edges = plain(vectors), plain(gradient), i, j, plain(graph.batch)
    forces, virial = np.zeros((graph.n_atoms, 3)), np.zeros((graph.n_structures, 3, 3))
    scatter(*edges, forces, virial)
    return torch.from_numpy(forces).to(gradient.dtype), torch.from_numpy(virial).to(gradient.dtype)


def _sum_of_outer_products(graph: AtomGraph, vectors: Tensor, gradient: Tensor) -> Tensor:
    """Return sum_e r_e (x) g_e of each structure, shape (B, 3, 3)."""
    if graph.n_structures == 1:
        return (vectors.T @ gradient)[None]
    structure = graph.batch.index_select(0, graph.edge_index[0])
    many_edges = graph.n_edges > 200 * graph.n_structures and vectors.device.type == "cpu"
    if many_edges and bool((structure[1:] >= structure[:-1]).all()):
        # One matrix product for each structure is six times faster than (E, 9) products on CPU.
        edges = torch.bincount(structure, minlength=graph.n_structures).tolist()
        return torch.stack([r.T @ g for r, g in zip(vectors.split(edges), gradient.split(edges), strict=True)])
    outer = (vectors[:, :, None] * gradient[:, None, :]).reshape(-1, 9)
    virial = outer.new_zeros(graph.n_structures, 9).index_add(0, structure, outer)
    return virial.reshape(-1, 3, 3)

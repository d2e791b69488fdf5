"""M3GNet of matgl; in training its line graph is given, as its data loader does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from matgl.apps.pes import Potential
from matgl.ext.ase import Atoms2Graph, PESCalculator
from matgl.graph._compute import compute_pair_vector_and_distance, create_line_graph
from matgl.models import M3GNet
from torch import Tensor
from torch_geometric.data import Batch
from worker import Task, md_steps, serve, training_step


def prepare(task: Task) -> Callable[[], object]:
    network = M3GNet(element_types=("O", "Si"), cutoff=task.cutoff, is_intensive=False, **task.options)
    potential = Potential(network, calc_forces=True, calc_stresses=True)
    if task.kind == "md":
        return md_steps(task, PESCalculator(potential.requires_grad_(False), stress_unit="eV/A3"))
    converter = Atoms2Graph(("O", "Si"), task.cutoff)
    graphs = [converter.get_graph(a) for a in task.frames]
    graph = Batch.from_data_list([g for g, _, _ in graphs])
    lattice = torch.cat([x.reshape(1, 3, 3) for _, x, _ in graphs]).float()
    cells = lattice[graph.batch]
    positions = torch.einsum("ni,nij->nj", graph.frac_coords, cells)
    offset = torch.einsum("ei,eij->ej", graph.pbc_offset, cells[graph.edge_index[0]])
    vectors, distances = compute_pair_vector_and_distance(positions, graph.edge_index, offset)
    n = int(np.sum([len(a) for a in task.frames]))
    line_graph = create_line_graph(graph.edge_index, distances, vectors, offset, n, network.threebody_cutoff)
    state = torch.zeros(len(task.frames), 2)

    def predict() -> tuple[Tensor, Tensor, Tensor]:
        energy, forces, stress, _ = potential(graph, lattice, state, l_g=line_graph)
        return energy, forces, stress

    return training_step(task, potential, predict)


if __name__ == "__main__":
    serve(prepare)

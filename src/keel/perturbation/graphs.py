"""Graphs of children: for a teacher that needs one, and for the student."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from keel.atoms.graph import AtomGraph
from keel.parallel import plain
from keel.perturbation.children import ChildPairs


def half_graph(pairs: ChildPairs, cutoff: float, dtype: torch.dtype) -> tuple[AtomGraph, Tensor]:
    """Return the children as a graph with each pair within ``cutoff`` once, and its edge vectors."""
    ends, shifts = pairs.ends, pairs.shifts.take(pairs.shift_of, axis=0)
    vectors = pairs.vectors(ends)
    if cutoff < pairs.radius:
        edges = np.flatnonzero(pairs.squared < cutoff**2)
        ends, shifts, vectors = ends.take(edges, axis=1), shifts.take(edges, axis=0), vectors.take(edges, axis=0)
    graph = _graph(pairs, torch.from_numpy(ends), torch.from_numpy(shifts).to(dtype), cutoff)
    return graph.replace(half_list=True), torch.from_numpy(vectors).to(dtype)


def full_graph(pairs: ChildPairs, cutoff: float, dtype: torch.dtype) -> AtomGraph:
    """Return the children as a graph with each pair within ``cutoff`` twice, sorted by its first atom."""
    from keel.perturbation.kernels import both_ways, count_ends

    places = np.zeros(len(pairs.first_of), np.int64)
    size = count_ends(pairs.first_of, pairs.j_of, pairs.squared, cutoff**2, places)
    edges, shifts = torch.empty(2, size, dtype=torch.int64), torch.empty(size, 3, dtype=dtype)
    lists = pairs.first_of, pairs.j_of, pairs.shift_of, pairs.squared
    both_ways(lists, pairs.shifts, cutoff**2, places, plain(edges), plain(shifts))
    return _graph(pairs, edges, shifts, cutoff)


def _graph(pairs: ChildPairs, edge_index: Tensor, edge_shift: Tensor, cutoff: float) -> AtomGraph:
    return AtomGraph(
        numbers=torch.from_numpy(pairs.numbers),
        positions=torch.from_numpy(pairs.positions).to(edge_shift.dtype),
        cell=torch.from_numpy(pairs.cells).to(edge_shift.dtype),
        pbc=torch.from_numpy(pairs.pbc),
        batch=torch.from_numpy(pairs.structure),
        edge_index=edge_index,
        edge_shift=edge_shift,
        cutoff=cutoff,
        states=pairs.states,
    )

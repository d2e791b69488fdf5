"""The parts of M3GNet: gated perceptrons, the three-body interaction in linear time, the graph convolution.

Source: Chen & Ong, Nat. Comput. Sci. 2, 718 (2022), eqs. 1 to 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from keel.potentials.networks.gather import gather, scatter
from keel.potentials.networks.layered import State


class GatedPerceptron(nn.Module):
    """phi(x) = core(x) * gate(x): two perceptrons with SiLU; the gate ends with a sigmoid.

    The first layers of core and gate are stacked in this order in one matrix.

    Parameters
    ----------
    sizes
        Length of the input, of each hidden layer and of the output.
    bias
        Whether the layers have biases.
    activate_last
        Whether the core too ends with its activation.
    """

    def __init__(self, sizes: Sequence[int], *, bias: bool = True, activate_last: bool = True) -> None:
        super().__init__()
        self.first = nn.Linear(sizes[0], 2 * sizes[1], bias=bias)
        self.core = nn.ModuleList([nn.Linear(a, b, bias=bias) for a, b in pairwise(sizes[1:])])
        self.gate = nn.ModuleList([nn.Linear(a, b, bias=bias) for a, b in pairwise(sizes[1:])])
        self.activate_last = activate_last

    def forward(self, x: Tensor) -> Tensor:
        """Return phi, shape (..., sizes[-1])."""
        return self.after_first(self.first(x))

    def after_first(self, z: Tensor) -> Tensor:
        """Return phi from the output of the first layers before their activation, shape (..., 2 sizes[1])."""
        core, gate = z.chunk(2, dim=-1)
        for core_layer, gate_layer in zip(self.core, self.gate, strict=True):
            core, gate = core_layer(functional.silu(core)), gate_layer(functional.silu(gate))
        if self.activate_last:
            core = functional.silu(core)
        return core * torch.sigmoid(gate)


class PairPerceptron(GatedPerceptron):
    """Gated perceptron of [v_i, v_j, e_ij].

    Its first product is the sum of three: those of v_i and v_j are taken once per atom, not once per edge.

    Parameters
    ----------
    nodes, edges
        Length of the atom and edge vectors.
    sizes
        Length of each hidden layer and of the output.
    """

    def __init__(self, nodes: int, edges: int, sizes: Sequence[int]) -> None:
        super().__init__([2 * nodes + edges, *sizes])
        del self.first
        self.centre = nn.Linear(nodes, 2 * sizes[0])
        self.neighbour = nn.Linear(nodes, 2 * sizes[0], bias=False)
        self.edge = nn.Linear(edges, 2 * sizes[0], bias=False)
        # The three blocks are one matrix: initialise them as one.
        bound = (2 * nodes + edges) ** -0.5
        for parameter in (self.centre.weight, self.centre.bias, self.neighbour.weight, self.edge.weight):
            nn.init.uniform_(parameter, -bound, bound)

    def pairs(self, v: Tensor, e: Tensor, i: Tensor, j: Tensor) -> Tensor:
        """Return phi of each edge, shape (E, sizes[-1])."""
        return self.after_first(self.edge(e) + gather(self.centre(v), i) + gather(self.neighbour(v), j))


class Geometry(NamedTuple):
    """What the blocks need of the edge vectors.

    E' edges are shorter than the three-body cutoff. With L = max_l and n = max_n radial functions for each l, each
    column of their features belongs to one (l, n, m): n L^2 in all.

    Parameters
    ----------
    h
        Radial features, shape (E, basis).
    e
        Edge vectors before the first block, shape (E, edges).
    sources
        f_c(r_ik) R_ln(r_ik) sqrt((2l+1)/4 pi) C_lm(r_ik), what each near edge gives to its centre, shape (E', n L^2).
    readers
        f_c(r_ij) C_lm(r_ij), with which each near edge reads it, shape (E', n L^2).
    """

    h: Tensor
    e: Tensor
    sources: Tensor
    readers: Tensor


class Triples(NamedTuple):
    """The edges shorter than the three-body cutoff, the same for every block.

    Parameters
    ----------
    near
        Their indices among all edges, ascending, shape (E',).
    i, j
        Centre and neighbour of each, shape (E',).
    sum_over_m
        0 or 1, shape (n L^2, n L).
    """

    near: Tensor
    i: Tensor
    j: Tensor
    sum_over_m: Tensor


class ThreeBody(nn.Module):
    """e_ij' = e_ij + phi(t_ij), the effect of the other neighbours k of i on an edge, without a list of triples.

        t_ij,ln = sum_{k != j} R_ln(r_ik) Y_l0(theta_jik) sigmoid(W v_k + b)_ln f_c(r_ij) f_c(r_ik)
        Y_l0(theta_jik) = sqrt((2l+1)/4 pi) sum_m C_lm(r_ij) C_lm(r_ik)               addition theorem

    Each edge adds its term to a moment of its centre; the moment less the edge's own term is read by the edge. Only
    this edge is left out: other images of atom j count.

    Parameters
    ----------
    nodes, edges
        Length of the atom and edge vectors.
    functions
        Number of pairs (l, n).
    """

    def __init__(self, nodes: int, edges: int, functions: int) -> None:
        super().__init__()
        self.neighbour = nn.Linear(nodes, functions)
        self.update = GatedPerceptron([functions, edges], bias=False)

    def forward(self, v: Tensor, e: Tensor, geometry: Geometry, t: Triples) -> Tensor:
        """Return the new edge vectors (E, edges)."""
        weights = torch.sigmoid(self.neighbour(v)) @ t.sum_over_m.T
        own = geometry.sources * gather(weights, t.j)
        others = gather(scatter(own, t.i, v.shape[0]), t.i) - own
        return e.index_add(0, t.near, self.update((others * geometry.readers) @ t.sum_over_m))


class Block(nn.Module):
    """Three-body interaction and graph convolution.

        e_ij' = e_ij + phi_e([v_i, v_j, e_ij]) * (W_e h_ij)
        v_i'  = v_i + sum_j phi_v([v_i, v_j, e_ij']) * (W_v h_ij)

    Parameters
    ----------
    nodes, edges, units
        Length of the atom vectors, the edge vectors and the hidden layers.
    basis
        Length of the radial features h_ij.
    functions
        Number of pairs (l, n) of the three-body interaction.
    """

    def __init__(self, nodes: int, edges: int, units: int, basis: int, functions: int) -> None:
        super().__init__()
        self.three_body = ThreeBody(nodes, edges, functions)
        self.edge_update = PairPerceptron(nodes, edges, [units, units, edges])
        self.edge_weight = nn.Linear(basis, edges, bias=False)
        self.node_update = PairPerceptron(nodes, edges, [units, units, nodes])
        self.node_weight = nn.Linear(basis, nodes, bias=False)

    def forward(self, state: State, geometry: Geometry, i: Tensor, j: Tensor, *triples: Tensor) -> State:
        """Return the new atom vectors (N, nodes) and edge vectors (E, edges)."""
        v, *changed = state
        e = self.three_body(v, changed[0] if changed else geometry.e, geometry, Triples(*triples))
        e = e + self.edge_update.pairs(v, e, i, j) * self.edge_weight(geometry.h)
        message = self.node_update.pairs(v, e, i, j) * self.node_weight(geometry.h)
        return v + scatter(message, i, v.shape[0]), e

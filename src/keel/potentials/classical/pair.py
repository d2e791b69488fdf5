"""Pair potentials: E = sum over pairs of phi_{z_i z_j}(r_ij), with closed-form derivatives."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from keel.atoms.graph import AtomGraph
from keel.potentials.base import MAX_ATOMIC_NUMBER, Potential, lengths

SIZE = MAX_ATOMIC_NUMBER + 1


def pair_table(values: Mapping[tuple[int, int], float]) -> Tensor:
    """Return values by pair of atomic numbers as a table (SIZE * SIZE,) in float64: z_i * SIZE + z_j; 0 where none."""
    table = torch.zeros(SIZE, SIZE, dtype=torch.float64)
    for (first, second), value in values.items():
        table[first, second] = table[second, first] = value
    return table.reshape(-1)


class PairPotential(Potential):
    """E = sum_{pairs} phi_{z_i z_j}(r_ij); half of each pair energy belongs to each of its atoms.

    A concrete pair potential implements :meth:`pair_energy`.
    """

    half_list = True
    closed_form = True

    @abstractmethod
    def pair_energy(self, r: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Return phi in eV and d phi/dr in eV/angstrom, shape (P,), for P pairs.

        ``r`` in angstrom (P,), ``first`` and ``second`` are atomic numbers (P,). Both results must vanish smoothly at
        the cutoff.
        """

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        """See :class:`Potential`."""
        return self.energies_and_gradient(graph, vectors, differentiable=vectors.requires_grad)[0]

    def energies_and_gradient(
        self, graph: AtomGraph, vectors: Tensor, *, differentiable: bool
    ) -> tuple[Tensor, Tensor]:
        """See :class:`Potential`; closed form."""
        i, j = graph.edge_index
        r = lengths(vectors)
        phi, slope = self.pair_energy(r, graph.numbers.index_select(0, i), graph.numbers.index_select(0, j))
        half = 0.5 * phi
        energies = half.new_zeros(graph.n_atoms).index_add(0, i, half).index_add(0, j, half)
        return energies, (slope / r)[:, None] * vectors

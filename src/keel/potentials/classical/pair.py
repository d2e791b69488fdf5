"""Pair potentials: E = sum over pairs of phi_{z_i z_j}(r_ij), with closed-form derivatives."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from keel.atoms.graph import AtomGraph
from keel.potentials.base import Potential, lengths


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

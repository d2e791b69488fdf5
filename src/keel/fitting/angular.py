"""What a three-body term adds to an EAM fit: columns to be multiplied by the fitted coefficients, computed once.

The fit varies shares of 1 - cos, cos and P_2 of each element and reach, none of them negative, which keeps the term
bounded (:class:`keel.potentials.classical.three_body.ThreeBody`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keel.atoms.frame import VOIGT, Array
from keel.atoms.graph import AtomGraph
from keel.atoms.scatter import scatter_gradient
from keel.parallel import plain
from keel.potentials.classical.eam import EAM
from keel.potentials.classical.three_body import ThreeBody, powers

REACHES = (1.5, 1.9)
"""Ranges of the functions of distance, in sums of covalent radii: before the second neighbours of a covalent solid, and
among them."""
TWICE = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
"""How often each of the six components of a symmetric matrix stands in it."""
RESTING = 1.0
"""They become constant at the closest contact of the data, but not beyond this distance, in sums of covalent radii."""


class AngularColumns(NamedTuple):
    """What coefficients add to energies (B, C), forces (3, N, C) and virials (B, 6, C), and their numbers, (C,)."""

    which: NDArray[np.int64]
    energy: Array
    forces: Array
    virial: Array

    def times(self, coefficients: Array) -> tuple[Array, Array, Array]:
        """Return energies (B,), forces (N, 3) and virials (B, 3, 3)."""
        own = coefficients[self.which]
        virial = np.empty((len(self.energy), 3, 3))
        for k, (a, b) in enumerate(zip(*VOIGT, strict=True)):
            virial[:, a, b] = virial[:, b, a] = self.virial[:, k] @ own
        return self.energy @ own, (self.forces @ own).T, virial

    def gradient(self, energy: Array, forces: Array, virial: Array, size: int) -> Array:
        """Return the derivatives with respect to all ``size`` coefficients of a loss with these derivatives."""
        found = np.zeros(size)
        twice = 0.5 * (virial + virial.transpose(0, 2, 1))[:, VOIGT[0], VOIGT[1]] * TWICE
        found[self.which] = (
            energy @ self.energy
            + np.einsum("ni,inc->c", forces, self.forces)
            + np.einsum("bk,bkc->c", twice, self.virial)
        )
        return found


def unfitted(eam: EAM, closest: Array) -> ThreeBody:
    """Return a three-body term of zero strength, whose functions of distance level off where the data of a pair end."""
    inner = np.minimum(closest, RESTING * plain(eam.pair_radius)).tolist()
    nothing = [[0.0, 0.0, 0.0]] * len(REACHES)
    resting = dict(zip(eam.pair_names, inner, strict=True))
    return ThreeBody(dict.fromkeys(eam.symbols, nothing), REACHES, resting, eam.cutoff)


def angular_columns(term: ThreeBody | None, graph: AtomGraph) -> AngularColumns:
    """Return the columns of the elements that a half list has; none without a term."""
    if term is None:
        n, b = graph.n_atoms, graph.n_structures
        return AngularColumns(np.zeros(0, np.int64), np.zeros((b, 0)), np.zeros((3, n, 0)), np.zeros((b, 6, 0)))
    near = graph.within(term.cutoff)
    vectors, species = near.edge_vectors(), term.species(near)
    found = term.sums(near, vectors)
    # From powers of the cosine to the fitted shares.
    of_shares = powers(legendre(torch.eye(3, dtype=vectors.dtype))).T
    all_sums = (found.sums @ of_shares).flatten(1)
    there, back = torch.einsum("dnpx,ps->dnsx", found.gradient, of_shares).flatten(1, 2).tensor_split(2)
    per_element = all_sums.shape[1]
    i, j = species[near.edge_index]
    which: list[int] = []
    columns = []
    for a in species.unique().tolist():
        which += range(a * per_element, (a + 1) * per_element)
        sums = all_sums * (species == a)[:, None]
        energy = sums.new_zeros(near.n_structures, per_element).index_add(0, near.batch, sums)
        for k in range(per_element):
            gradient = there[:, k] * (i == a)[:, None] - back[:, k] * (j == a)[:, None]
            columns.append((energy[:, k], *scatter_gradient(near, vectors, gradient)))
    energies, forces, virials = (np.stack([plain(c) for c in part], axis=-1) for part in zip(*columns, strict=True))
    symmetric = 0.5 * (virials + virials.transpose(0, 2, 1, 3))
    return AngularColumns(
        np.array(which), energies, np.ascontiguousarray(forces.transpose(1, 0, 2)), symmetric[:, VOIGT[0], VOIGT[1]]
    )


def legendre(shares: Tensor) -> Tensor:
    """Return the coefficients of P_0, P_1 and P_2 that belong to shares of 1 - cos, cos and P_2, both (..., 3)."""
    apart, along, second = shares.unbind(dim=-1)
    return torch.stack([apart, along - apart, second], dim=-1)


def fitted(term: ThreeBody, shares: Tensor) -> ThreeBody:
    """Return the term with fitted shares of 1 - cos, cos and P_2, none of them negative, (elements * reaches * 3,)."""
    rows = legendre(shares.view(len(term.symbols), -1, 3)).tolist()
    return ThreeBody(**term.config() | {"elements": dict(zip(term.symbols, rows, strict=True))})

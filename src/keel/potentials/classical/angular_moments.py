"""Sums over pairs of neighbours of an atom by moments of their directions, at a cost linear in the neighbours.

With u the unit vectors to the neighbours of an atom, g a function of their distance and S_l the moments

    S_0 = sum_j g,    S_1 = sum_j g u,    S_2 = sum_j g u (x) u
    sum_{j < k} g_j g_k cos(theta_jk)^l = (S_l : S_l - sum_j g_j^2) / 2

since u_j . u_k is the cosine of the angle between them, and that of j with itself is 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from keel.potentials.switch import quintic_switch, quintic_switch_derivative

POWERS = (2, 1, 0)
"""Powers of the cosine, in the order of coefficients."""
ROWS, COLUMNS = (0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)
"""Places of the six components of a symmetric matrix, of which the last three count twice."""


class Directed(NamedTuple):
    """Pairs seen from each of their ends: the atom at the centre (D,), and g with dg/dr for each reach (D, n)."""

    centre: Tensor
    g: Tensor
    dg: Tensor

    @classmethod
    def of(cls, r: Tensor, edge_index: Tensor, inner: Tensor, outer: Tensor) -> Directed:
        """See a half list from both ends; ``r`` and ``inner`` (E,), ``outer`` (E, n) in angstrom."""
        ends = r[:, None], inner[:, None], outer
        g, dg = quintic_switch(*ends), quintic_switch_derivative(*ends)
        return cls(edge_index.reshape(-1), g.repeat(2, 1), dg.repeat(2, 1))


class AngularSums(NamedTuple):
    """For each reach and power of the cosine: sums at each atom (N, n, 3), and the derivative of that of the centre
    with respect to the vector of each directed pair, (D, n, 3, 3).
    """

    sums: Tensor
    gradient: Tensor


def angular_sums(pairs: Directed, vectors: Tensor, r: Tensor, n_atoms: int) -> AngularSums:
    """Sum over pairs of neighbours; ``vectors`` (E, 3) and their lengths ``r`` (E,) are those of the half list."""
    centre, g, dg = pairs
    u = torch.cat([vectors, -vectors]) / r.repeat(2)[:, None]
    twice = u.new_tensor([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
    square = u[:, ROWS] * u[:, COLUMNS]
    # The columns are S_0, S_1, S_2 and the sum of g^2.
    basis = torch.cat([torch.ones_like(u[:, :1]), u, square], dim=1)
    terms = torch.cat([g[:, :, None] * basis[:, None, :], g.square()[:, :, None]], dim=2)
    moments = terms.new_zeros(n_atoms, *terms.shape[1:]).index_add(0, centre, terms)
    zeroth, first, second, own = moments.split([1, 3, 6, 1], dim=2)
    whole = [(twice * second.square()).sum(dim=2), first.square().sum(dim=2), zeroth[:, :, 0].square()]
    sums = 0.5 * (torch.stack(whole, dim=2) - own)
    at = moments.index_select(0, centre)
    matrix = at[:, :, [4, 9, 8, 9, 5, 7, 8, 7, 6]].unflatten(2, (3, 3))
    # What multiplies g u (x) u, g u and g in the derivative: S_2 u, S_1, S_0, and their parts along u.
    vector = torch.stack([2.0 * (matrix @ u[:, None, :, None])[..., 0], at[:, :, 1:4]], dim=2)
    along = (vector * u[:, None, None, :]).sum(dim=3)
    radial = torch.cat([along * along.new_tensor([0.5, 1.0]), at[:, :, :1]], dim=2) - g[:, :, None]
    tangential = (vector - along[..., None] * u[:, None, None, :]) * (g / r.repeat(2)[:, None])[:, :, None, None]
    gradient = (dg[:, :, None] * radial)[..., None] * u[:, None, None, :]
    return AngularSums(sums, torch.cat([gradient[:, :, :2] + tangential, gradient[:, :, 2:]], dim=2))

"""Products of radial functions and real spherical harmonics, as polynomials of unit vectors: no angles, no poles."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from keel.atoms.frame import Array
from keel.potentials.networks.constants import Constant


def racah_harmonics(max_l: int) -> list[Array]:
    """Return C_lm(u) = sqrt(4 pi/(2l+1)) Y_lm(u) as tensors: contracted l times with u, shape (2l+1, 3, ..., 3).

    In this normalisation the addition theorem reads P_l(u . w) = sum_m C_lm(u) C_lm(w).

        C_l,+-m = sqrt((2 - delta_m0) (l-m)!/(l+m)!) Q_lm Re,Im (x + iy)^m
        Q_mm    = (2m-1)!!,   (l-m) Q_lm = (2l-1) z Q_l-1,m - (l+m-1) |u|^2 Q_l-2,m
    """
    outer = np.multiply.outer
    x, y, z = np.eye(3)
    tensors: list[dict[int, Array]] = [{} for _ in range(max_l)]
    real, imaginary, double_factorial = np.ones(()), np.zeros(()), 1.0
    for m in range(max_l):
        q = {m: np.asarray(double_factorial)}
        for l in range(m, max_l):  # noqa: E741  (its name everywhere)
            if l > m:
                q[l] = (2 * l - 1) * outer(q[l - 1], z) / (l - m)
            if l > m + 1:
                q[l] = q[l] - (l + m - 1) * outer(q[l - 2], np.eye(3)) / (l - m)
            norm = math.sqrt((2.0 if m else 1.0) * math.factorial(l - m) / math.factorial(l + m))
            tensors[l][-m], tensors[l][m] = norm * outer(q[l], imaginary), norm * outer(q[l], real)
        real, imaginary = outer(real, x) - outer(imaginary, y), outer(imaginary, x) + outer(real, y)
        double_factorial *= 2 * m + 1
    return [np.stack([t[m] for m in sorted(t)]) for t in tensors]


class AngularBasis(nn.Module):
    """R_ln(r) C_lm(u) with all (l, n, m) in one row: max_n radial functions for each l < max_l.

    Parameters
    ----------
    max_n, max_l
        Number of radial functions for each l, and of degrees l.
    """

    sum_over_m: Tensor

    def __init__(self, max_n: int, max_l: int) -> None:
        super().__init__()
        self.max_l = max_l
        degrees = np.repeat(np.arange(max_l), max_n)
        # Column (l, n, m) belongs to the pair (l, n).
        pair = np.repeat(np.arange(max_n * max_l), 2 * degrees + 1)
        sum_over_m = np.eye(max_n * max_l)[pair]
        norm = np.sqrt((2 * degrees + 1) / (4.0 * math.pi))
        blocks = [np.tile(c.reshape(len(c), -1).T, (1, max_n)) for c in racah_harmonics(max_l)]
        self.harmonics = Constant(_block_diagonal(blocks))
        self.normalised = Constant((sum_over_m * norm).T.copy())
        self.register_buffer("sum_over_m", torch.from_numpy(sum_over_m).to(torch.get_default_dtype()), persistent=False)

    def forward(self, unit: Tensor, radial: Tensor) -> tuple[Tensor, Tensor]:
        """Return C_lm(u) and sqrt((2l+1)/4 pi) R_ln C_lm(u), each of shape (E, max_n max_l^2).

        Parameters
        ----------
        unit
            Unit vectors, shape (E, 3).
        radial
            R_ln, column l max_n + n, shape (E, max_n max_l).
        """
        harmonics = _products(unit, self.max_l) @ self.harmonics()
        return harmonics, harmonics * (radial @ self.normalised())


def _products(unit: Tensor, max_l: int) -> Tensor:
    """Return all products of fewer than ``max_l`` components: 1, x, y, z, xx, xy, ..., shape (E, 1 + 3 + 9 + ...)."""
    products = [torch.ones_like(unit[:, :1])]
    for _ in range(1, max_l):
        products.append((products[-1][:, :, None] * unit[:, None, :]).flatten(1))
    return torch.cat(products, dim=1)


def _block_diagonal(blocks: list[Array]) -> Array:
    rows, columns = (np.cumsum([0, *(b.shape[axis] for b in blocks)]) for axis in (0, 1))
    matrix = np.zeros((rows[-1], columns[-1]))
    for block, row, column in zip(blocks, rows, columns, strict=False):
        matrix[row : row + block.shape[0], column : column + block.shape[1]] = block
    return matrix

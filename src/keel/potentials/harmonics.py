"""Real spherical harmonics as polynomials of the components of unit vectors: no angles, no poles."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def racah_harmonics(unit: Tensor, max_l: int) -> list[Tensor]:
    """Return C_lm(u) = sqrt(4 pi/(2l+1)) Y_lm(u) for each l < max_l, each of shape (E, 2l+1), m = -l..l.

    In this normalisation the addition theorem reads P_l(u . w) = sum_m C_lm(u) C_lm(w).

        C_l,+-m = sqrt((2 - delta_m0) (l-m)!/(l+m)!) Q_lm(z) Re,Im (x + iy)^m
        Q_mm    = (2m-1)!!,   (l-m) Q_lm = (2l-1) z Q_l-1,m - (l+m-1) Q_l-2,m

    Parameters
    ----------
    unit
        Unit vectors, shape (E, 3).
    max_l
        Number of degrees l.
    """
    x, y, z = unit.unbind(dim=1)
    columns: list[dict[int, Tensor]] = [{} for _ in range(max_l)]
    real, imaginary, double_factorial = torch.ones_like(x), torch.zeros_like(x), 1.0
    for m in range(max_l):
        if m:
            real, imaginary = x * real - y * imaginary, x * imaginary + y * real
            double_factorial *= 2 * m - 1
        last, q = torch.zeros_like(z), torch.full_like(z, double_factorial)
        for l in range(m, max_l):  # noqa: E741  (its name everywhere)
            if l > m:
                last, q = q, ((2 * l - 1) * z * q - (l + m - 1) * last) / (l - m)
            norm = math.sqrt((2.0 if m else 1.0) * math.factorial(l - m) / math.factorial(l + m))
            columns[l][m] = norm * q * real
            if m:
                columns[l][-m] = norm * q * imaginary
    return [torch.stack([c[m] for m in sorted(c)], dim=1) for c in columns]

"""Spherical Bessel bases, accurate from r = 0 to the cutoff in every dtype.

The closed form of j_l loses all its digits at small arguments, which is where this package works. But j_l(z s) is an
even (l even) or odd (l odd) entire function of s = r/r_c, so that on [0, 1] a short Chebyshev series

    R(r) = s^(l mod 2) sum_k c_k T_k(2 s^2 - 1)

equals it to the last digit of float64; all functions together are one product with the matrix of the c_k.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from keel.atoms.frame import Array

RadialFunction = Callable[[Array], Array]


class RadialBasis(nn.Module):
    """Radial functions as Chebyshev series.

    Parameters
    ----------
    cutoff
        r_c in angstrom.
    functions
        Functions of s = r/r_c on (0, 1], each even or odd in s.
    odd
        Which of them are odd.
    frequency
        The highest angular frequency among them, in s; it decides the number of terms.
    """

    coefficients: Tensor
    odd: Tensor

    def __init__(
        self, cutoff: float, functions: Sequence[RadialFunction], odd: Sequence[bool], frequency: float
    ) -> None:
        super().__init__()
        self.cutoff = cutoff
        # Beyond half the frequency the coefficients fall faster than exponentially: 1e-16 after some twelve more.
        terms = int(frequency / 2) + 14
        table = [_chebyshev_series(f, o, terms) for f, o in zip(functions, odd, strict=True)]
        self._table = torch.from_numpy(np.stack(table, axis=1))
        self.register_buffer("coefficients", self._table.to(torch.get_default_dtype()), persistent=False)
        self.register_buffer("odd", torch.tensor(list(odd)), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        # Rounded once from float64, whatever dtypes the network had before.
        self.coefficients = self._table.to(self.coefficients)
        return self

    def forward(self, r: Tensor) -> Tensor:
        """Return the functions, shape (E, size), of distances (E,) in angstrom, each at most the cutoff."""
        s = r * (1.0 / self.cutoff)
        t = 2.0 * s * s - 1.0
        chebyshev = [torch.ones_like(t), t]
        for _ in range(2, self.coefficients.shape[0]):
            chebyshev.append(2.0 * t * chebyshev[-1] - chebyshev[-2])
        values = torch.stack(chebyshev, dim=1) @ self.coefficients
        return torch.where(self.odd, values * s[:, None], values)

    def __repr__(self) -> str:
        terms, size = self.coefficients.shape
        return f"RadialBasis(size={size}, cutoff={self.cutoff:g}, terms={terms})"


def spherical_bessel_basis(cutoff: float, max_n: int, max_l: int) -> RadialBasis:
    """Return R_ln(r) = sqrt(2/r_c^3) j_l(z_ln r/r_c) / |j_{l+1}(z_ln)|, l < max_l, n < max_n, column l max_n + n.

    z_ln are the roots of j_l. Orthonormal on [0, r_c] with weight r^2; zero at r_c, their slopes not.

    Source: Chen & Ong, Nat. Comput. Sci. 2, 718 (2022), eq. 2.
    """
    from scipy.special import spherical_jn

    def function(order: int, root: float) -> RadialFunction:
        norm = math.sqrt(2.0 / cutoff**3) / abs(float(spherical_jn(order + 1, root)))
        return lambda s: norm * np.asarray(spherical_jn(order, root * s))

    roots = spherical_bessel_roots(max_n, max_l)
    functions = [function(order, root) for order in range(max_l) for root in roots[order]]
    odd = [order % 2 == 1 for order in range(max_l) for _ in range(max_n)]
    return RadialBasis(cutoff, functions, odd, float(roots.max()))


def smooth_bessel_basis(cutoff: float, size: int) -> RadialBasis:
    """Return g_n(r), n < size: orthonormal sums of j_0 whose value, slope and curvature vanish at the cutoff.

        f_n(r) = (-1)^n sqrt(2) pi/r_c^1.5 (n+1)(n+2)/sqrt((n+1)^2 + (n+2)^2)
                 [sinc((n+1) pi r/r_c) + sinc((n+2) pi r/r_c)],
        g_n    = [f_n + sqrt(e_n/d_{n-1}) g_{n-1}] / sqrt(d_n),
        e_n    = n^2 (n+2)^2 / (4 (n+1)^4 + 1),  d_0 = 1,  d_n = 1 - e_n/d_{n-1}.

    Source: Kocer, Mason & Erturk, J. Chem. Phys. 150, 154102 (2019), eqs. 8 to 13.
    """

    def function(n: int) -> RadialFunction:
        return lambda s: _orthonormal(n, s, cutoff)

    return RadialBasis(cutoff, [function(n) for n in range(size)], [False] * size, (size + 1) * math.pi)


def _orthonormal(last: int, s: Array, cutoff: float) -> Array:
    g, d = np.zeros_like(s), 1.0
    for n in range(last + 1):
        e = n**2 * (n + 2) ** 2 / (4 * (n + 1) ** 4 + 1)
        factor = (-1) ** n * math.sqrt(2.0) * math.pi / cutoff**1.5 * (n + 1) * (n + 2) / math.hypot(n + 1, n + 2)
        carried, d = math.sqrt(e / d), 1.0 - e / d
        g = (factor * (np.sinc((n + 1) * s) + np.sinc((n + 2) * s)) + carried * g) / math.sqrt(d)
    return g


def spherical_bessel_roots(max_n: int, max_l: int) -> Array:
    """Return the first ``max_n`` positive roots of j_l for each l < ``max_l``, shape (max_l, max_n).

    Between two neighbouring roots of j_{l-1} lies exactly one of j_l.
    """
    from scipy.optimize import brentq
    from scipy.special import spherical_jn

    roots = [np.arange(1, max_n + max_l) * math.pi]
    for order in range(1, max_l):
        brackets = zip(roots[-1][:-1], roots[-1][1:], strict=True)
        roots.append(np.array([brentq(lambda x, o=order: spherical_jn(o, x), a, b, xtol=1e-14) for a, b in brackets]))
    return np.stack([r[:max_n] for r in roots])


def _chebyshev_series(function: RadialFunction, odd: bool, terms: int) -> Array:
    nodes = np.polynomial.chebyshev.chebpts1(terms)
    s = np.sqrt(0.5 * (nodes + 1.0))
    values = function(s) / s if odd else function(s)
    # At these nodes the polynomials are orthogonal, so that the series is a sum, not a solution of equations.
    basis = np.polynomial.chebyshev.chebvander(nodes, terms - 1)
    weights = np.where(np.arange(terms) == 0, 1.0, 2.0) / terms
    return np.asarray(weights * (values @ basis))

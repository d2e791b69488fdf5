"""Spherical Bessel bases, accurate from r = 0 to the cutoff in every dtype.

The closed form of j_l loses all its digits at small arguments, where it is needed here. But j_l(z s) is an
even (l even) or odd (l odd) entire function of s = r/r_c, so that on [0, 1] a short Chebyshev series

    R(r) = s^(l mod 2) sum_k c_k T_k(2 s^2 - 1)

equals it to the last digit of float64; all functions together are one product with the matrix of the c_k.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.polynomial import chebyshev
from torch import Tensor, nn

from keel.atoms.frame import Array
from keel.potentials.networks.constants import Constant

RadialFunction = Callable[[Array], Array]


class RadialBasis(nn.Module):
    """Radial functions as Chebyshev series.

    Their first two derivatives are series as well, and are computed with them: automatic differentiation meets only

        R(r + d) = R(r) + R'(r) d + R''(r) d^2/2

    with d = 0, not the sixty steps of the polynomials. Derivatives with respect to distances are therefore correct up
    to the second.

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

    odd: Tensor

    def __init__(
        self, cutoff: float, functions: Sequence[RadialFunction], odd: Sequence[bool], frequency: float
    ) -> None:
        super().__init__()
        self.cutoff, self.size = cutoff, len(functions)
        # Beyond half the frequency the coefficients fall faster than exponentially: 1e-16 after some twelve more.
        self.terms = int(frequency / 2) + 14
        series = [_chebyshev_series(f, o, self.terms) for f, o in zip(functions, odd, strict=True)]
        first = [_derivative(c, o) for c, o in zip(series, odd, strict=True)]
        second = [_derivative(c, not o) for c, o in zip(first, odd, strict=True)]
        columns = [*series, *(c / cutoff for c in first), *(c / cutoff**2 for c in second)]
        self.coefficients = Constant(np.stack(columns, axis=1))
        parity = torch.tensor(list(odd))
        self.register_buffer("odd", torch.cat([parity, ~parity, parity]), persistent=False)

    def forward(self, r: Tensor) -> Tensor:
        """Return the functions, shape (E, size), of distances (E,) in angstrom, each at most the cutoff."""
        with torch.no_grad():
            s = r.detach() * (1.0 / self.cutoff)
            values = chebyshev_polynomials(2.0 * s * s - 1.0, self.terms) @ self.coefficients()
            value, slope, curvature = torch.where(self.odd, values * s[:, None], values).chunk(3, dim=1)
        d = (r - r.detach())[:, None]
        return value + d * (slope + (0.5 * d) * curvature)

    def __repr__(self) -> str:
        return f"RadialBasis(size={self.size}, cutoff={self.cutoff:g}, terms={self.terms})"


def chebyshev_polynomials(t: Tensor, terms: int) -> Tensor:
    """Return T_k(t), k < ``terms``, shape (E, terms), by T_{n+m} = 2 T_n T_m - T_{n-m}, m = 1..n, doubling n."""
    values = torch.stack([torch.ones_like(t), t], dim=1)
    while (n := values.shape[1] - 1) < terms - 1:
        m = min(n, terms - 1 - n)
        following = 2.0 * values[:, n:] * values[:, 1 : m + 1] - values[:, n - m : n].flip(1)
        values = torch.cat([values, following], dim=1)
    return values


def spherical_bessel_basis(cutoff: float, max_n: int, max_l: int) -> RadialBasis:
    """Return R_ln(r) = sqrt(2/r_c^3) j_l(z_ln r/r_c) / |j_{l+1}(z_ln)|, l < max_l, n < max_n, column l max_n + n.

    z_ln are the roots of j_l. Orthonormal on [0, r_c] with weight r^2; zero at r_c, unlike their slopes.

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
    """Return the coefficients c_k of a function that is even or odd in s."""
    nodes = chebyshev.chebpts1(terms)
    s = np.sqrt(0.5 * (nodes + 1.0))
    values = function(s) / s if odd else function(s)
    # At these nodes the polynomials are orthogonal, so that the series is a sum, not a solution of equations.
    weights = np.where(np.arange(terms) == 0, 1.0, 2.0) / terms
    return np.asarray(weights * (values @ chebyshev.chebvander(nodes, terms - 1)))


def _derivative(series: Array, odd: bool) -> Array:
    """Return the series of the derivative, of the other parity: d/ds P = s 4 P', d/ds (s P) = P + 2 (t + 1) P'."""
    derivative = np.zeros_like(series)
    slope = chebyshev.chebder(series)
    for part in (2.0 * slope, 2.0 * chebyshev.chebmulx(slope), series) if odd else (4.0 * slope,):
        derivative[: len(part)] += part
    return derivative

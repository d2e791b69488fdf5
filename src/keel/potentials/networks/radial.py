"""Radial bases."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_NEGLIGIBLE = 30.0  # exp(-30) = 9e-14


class GaussianBasis(nn.Module):
    """e_k(r) = exp(-(r - mu_k)^2 / (2 w^2)), with mu_k evenly from 0 to the cutoff and w their spacing.

    Exactly zero where a Gaussian falls below exp(-30): denormal numbers would slow every matrix product that
    follows several times.

    Parameters
    ----------
    cutoff
        Last centre in angstrom.
    size
        Number of Gaussians.
    """

    indices: Tensor

    def __init__(self, cutoff: float, size: int) -> None:
        super().__init__()
        # In units of the spacing the centres are whole numbers, exact in every dtype.
        self.register_buffer("indices", torch.arange(size, dtype=torch.get_default_dtype()), persistent=False)
        self.inverse_width = (size - 1) / cutoff

    def forward(self, r: Tensor) -> Tensor:
        """Return the basis, shape (E, size), of distances (E,) in angstrom."""
        t = (r[:, None] * self.inverse_width - self.indices) * math.sqrt(0.5)
        return torch.exp(-torch.clamp(t * t, max=_NEGLIGIBLE)) - math.exp(-_NEGLIGIBLE)


def cosine_cutoff(r: Tensor, cutoff: float, lower: float = 0.0) -> Tensor:
    """Return f_c = cos^2(pi r / 2 r_c), from 1 at r = 0 to 0 at the cutoff and beyond.

    With a lower cutoff r_l > 0: sin^2(pi (r - r_l) / (r_c - r_l)), 0 outside. The first derivative vanishes at both.
    """
    if lower > 0:
        t = torch.clamp((r - lower) / (cutoff - lower), 0.0, 1.0)
        return torch.sin(math.pi * t).square()
    # As a square it keeps its digits near the cutoff, where (1 + cos(pi r / r_c)) / 2 cancels.
    return torch.cos(0.5 * math.pi * torch.clamp(r / cutoff, max=1.0)).square()


class ExponentialNormalBasis(nn.Module):
    """e_k(r) = f_c(r) exp(-beta_k (exp(-alpha (r - r_l)) - mu_k)^2), alpha = 5 / (r_c - r_l).

    f_c is the cosine cutoff, mu_k are evenly spaced from exp(r_l - r_c) to 1, beta_k = (2 (1 - exp(r_l - r_c)) / K)^-2
    (Unke & Meuwly, J. Chem. Theory Comput. 15, 3678 (2019), eq. 7; Tholke & De Fabritiis, ICLR 2022, eq. 1). Exactly
    zero where the exponential falls below exp(-30).

    Parameters
    ----------
    cutoff, lower
        r_c and r_l in angstrom.
    size
        Number K of functions.
    trainable
        Whether mu and beta are trained.
    """

    means: Tensor
    betas: Tensor

    def __init__(self, cutoff: float, size: int, lower: float = 0.0, trainable: bool = False) -> None:
        super().__init__()
        self.cutoff, self.lower, self.alpha = cutoff, lower, 5.0 / (cutoff - lower)
        first = math.exp(lower - cutoff)
        _constants(
            self,
            trainable,
            means=torch.linspace(first, 1.0, size),
            betas=torch.full((size,), (2.0 / size * (1.0 - first)) ** -2),
        )

    def forward(self, r: Tensor) -> Tensor:
        """Return the basis, shape (E, K), of distances (E,) in angstrom."""
        t = torch.exp(self.alpha * (self.lower - r))[:, None] - self.means
        return cosine_cutoff(r, self.cutoff)[:, None] * _negative_exponential(self.betas * t * t)


class FreeGaussianBasis(nn.Module):
    """e_k(r) = exp(c (r - mu_k)^2): Gaussians whose centres and common width are parameters.

    They start with mu_k evenly from the lower cutoff to the cutoff and the width of their spacing, and are exactly
    zero where they fall below exp(-30).

    Parameters
    ----------
    cutoff, lower
        Last and first centre in angstrom.
    size
        Number of Gaussians.
    trainable
        Whether mu and c are trained.
    """

    offset: Tensor
    coeff: Tensor

    def __init__(self, cutoff: float, size: int, lower: float = 0.0, trainable: bool = False) -> None:
        super().__init__()
        spacing = (cutoff - lower) / (size - 1)
        _constants(
            self,
            trainable,
            offset=torch.linspace(lower, cutoff, size),
            coeff=torch.tensor(-0.5 / spacing**2),
        )

    def forward(self, r: Tensor) -> Tensor:
        """Return the basis, shape (E, size), of distances (E,) in angstrom."""
        return _negative_exponential(-self.coeff * (r[:, None] - self.offset).square())


def _constants(basis: nn.Module, trainable: bool, **constants: Tensor) -> None:
    """Give a basis its constants: parameters if they are trained, else buffers."""
    for name, value in constants.items():
        if trainable:
            basis.register_parameter(name, nn.Parameter(value))
        else:
            basis.register_buffer(name, value)


def _negative_exponential(x: Tensor) -> Tensor:
    """Return exp(-x), exactly zero where it is negligible."""
    return torch.exp(-torch.clamp(x, max=_NEGLIGIBLE)) - math.exp(-_NEGLIGIBLE)

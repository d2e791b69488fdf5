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

"""Adaptive sharpness-aware minimisation (ASAM)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def ascended(network: nn.Module, rho: float, eta: float = 0.01) -> Iterator[None]:
    """Move the weights to where the loss is sharpest nearby, and back again.

        epsilon = rho T^2 g / |T g|,   T = |w| + eta

    with g the gradients that the parameters hold on entry; they are cleared, so that the gradient taken inside is that
    at the sharp point.

    Source: Foret et al., ICLR 2021; Kwon et al., ICML 2021 (adaptive form, eq. 9).
    """
    moved = [(p, p.grad) for p in network.parameters() if p.grad is not None]
    with torch.no_grad():
        scaled = [(p.abs() + eta) * g for p, g in moved]
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(s) for s in scaled]))
        original = [p.clone() for p, _ in moved]
        for (p, _), s in zip(moved, scaled, strict=True):
            p.add_((p.abs() + eta) * s * (rho / (norm + 1e-12)))
            p.grad = None
    try:
        yield
    finally:
        with torch.no_grad():
            for (p, _), w in zip(moved, original, strict=True):
                p.copy_(w)

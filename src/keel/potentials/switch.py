"""Smooth switching functions."""

from __future__ import annotations

import torch
from torch import Tensor


def quintic_switch(r: Tensor, inner: float | Tensor, outer: float | Tensor) -> Tensor:
    """C2 switch s = 1 - 10 t^3 + 15 t^4 - 6 t^5 with t = (r - inner)/(outer - inner) held within [0, 1].

    First and second derivatives vanish at both ends; s is exactly 1 below and exactly 0 above.
    """
    t = torch.clamp((r - inner) / (outer - inner), 0.0, 1.0)
    return 1.0 + t * t * t * (-10.0 + t * (15.0 - 6.0 * t))


def quintic_switch_derivative(r: Tensor, inner: float | Tensor, outer: float | Tensor) -> Tensor:
    """ds/dr of :func:`quintic_switch`: -30 t^2 (1 - t)^2 / (outer - inner)."""
    t = torch.clamp((r - inner) / (outer - inner), 0.0, 1.0)
    return -30.0 * (t * (1.0 - t)).square() / (outer - inner)

"""The effective distance of two atoms that are closer than any in the data."""

from __future__ import annotations

import torch
from torch import Tensor

CLAMPED_WITHIN = 0.2
"""Below a contact, distances become constant within this fraction of it."""


def clamped(r: Tensor, contact: Tensor) -> tuple[Tensor, Tensor]:
    """Return the effective distance q at a distance r, and dq/dr: below a contact c it becomes constant.

    q(r) = c - w/2 + w (u^3 - u^4/2),  u = (r - c + w) / w,  between c - w and c with w = 0.2 c; it has two continuous
    derivatives. Without a contact (0) q is r.
    """
    width = CLAMPED_WITHIN * contact
    u = ((r - contact) / width.clamp(min=1e-12) + 1.0).clamp(0.0, 1.0)
    within = (r < contact) & (contact > 0.0)
    q = torch.where(within, contact + width * (u**3 * (1.0 - 0.5 * u) - 0.5), r)
    return q, torch.where(within, u * u * (3.0 - 2.0 * u), 1.0)

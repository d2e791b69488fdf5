"""A potential in another precision or on another device, without changing the one at hand."""

from __future__ import annotations

from copy import deepcopy

import torch

from keel.potentials.base import Potential


def converted(
    potential: Potential, dtype: torch.dtype | None = None, device: torch.device | str | None = None
) -> Potential:
    """Return the potential itself if it has this dtype and device, else a converted copy; None keeps."""
    dtype = dtype or potential.dtype
    device = potential.device if device is None else torch.device(device)
    same_device = device.type == potential.device.type and device.index in (None, potential.device.index)
    if dtype == potential.dtype and same_device:
        return potential
    return deepcopy(potential).to(device=device, dtype=dtype)

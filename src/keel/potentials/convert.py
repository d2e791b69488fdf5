"""A potential in another precision or on another device, without changing the one at hand."""

from __future__ import annotations

from copy import deepcopy

import torch

from keel.errors import ConfigError
from keel.potentials.base import Potential


def converted(
    potential: Potential, dtype: torch.dtype | str | None = None, device: torch.device | str | None = None
) -> Potential:
    """Return the potential itself if it has this dtype and device, else a converted copy; None keeps.

    Raises
    ------
    ConfigError
        If the dtype is no floating-point dtype, or there is no such device here.
    """
    precision = _dtype(dtype) or potential.dtype
    place = potential.device if device is None else _device(device)
    if precision == potential.dtype and place == potential.device:
        return potential
    return deepcopy(potential).to(device=place, dtype=precision)


def _dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype is not None and not (isinstance(found, torch.dtype) and found.is_floating_point):
        raise ConfigError(f"{dtype!r} is not a precision; choose float32 or float64")
    return found


def _device(device: torch.device | str) -> torch.device:
    try:
        # An allocation names the index that "cuda" leaves open, and fails where there is no such device.
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"the device {str(device)!r} cannot be used here ({str(error).splitlines()[0]})") from None

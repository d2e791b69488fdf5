"""A potential in another precision or on another device."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor

from keel.errors import ConfigError
from keel.potentials.base import Potential


def converted(
    potential: Potential, dtype: torch.dtype | str | None = None, device: torch.device | str | None = None
) -> Potential:
    """Return the potential itself if all of it has this dtype and device, else a converted copy; None keeps.

    Raises
    ------
    ConfigError
        If the dtype is not a floating-point dtype, or there is no such device here.
    """
    precision = None if dtype is None else floating(dtype)
    place = potential.device if device is None else _device(device)
    if place == potential.device and (precision is None or set(potential.precisions().values()) == {precision}):
        return potential
    return deepcopy(potential).to(device=place, dtype=precision)


def cast(potential: Potential, precisions: Mapping[str, torch.dtype]) -> None:
    """Set the dtype of each potential inside one, by its place, as returned by :meth:`keel.Potential.precisions`."""
    for place, dtype in precisions.items():
        part = potential.get_submodule(place)
        if not isinstance(part, Potential):
            raise TypeError(f"{place!r} is not a potential")
        # Members of a sum have their own places; cast twice, they would lose digits.
        part._apply(partial(_as_dtype, dtype=dtype), recurse=len(part.precisions()) == 1)


def _as_dtype(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def floating(dtype: torch.dtype | str) -> torch.dtype:
    """Return a floating-point dtype, which may be given by its name.

    Raises
    ------
    ConfigError
        If it is neither float32 nor float64.
    """
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if found not in (torch.float32, torch.float64):
        raise ConfigError(f"{dtype!r} is not a precision; choose float32 or float64")
    return found


def _device(device: torch.device | str) -> torch.device:
    try:
        # An allocation shows the index that "cuda" leaves open, and fails where there is no such device.
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        if "device type at start" in reason:
            reason = "PyTorch knows cpu, cuda and mps, with a number behind as in cuda:0"
        raise ConfigError(f"the device {str(device)!r} cannot be used here ({reason})") from None

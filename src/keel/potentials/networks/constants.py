"""Constant matrices that keep their digits when a network changes its precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from keel.atoms.frame import Array


class Constant(nn.Module):
    """A matrix that is always rounded from float64 to the network's dtype, whatever dtypes it had before.

    Parameters
    ----------
    value
        The matrix in float64.
    """

    value: Tensor

    def __init__(self, value: Array) -> None:
        super().__init__()
        self._exact = torch.from_numpy(value)
        self.register_buffer("value", self._exact.to(torch.get_default_dtype()), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.value = self._exact.to(self.value)
        return self

    def forward(self) -> Tensor:
        """Return the matrix in the network's dtype, on its device."""
        return self.value

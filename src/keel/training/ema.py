"""Exponential moving average of weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """w_avg <- d w_avg + (1 - d) w after each step t, with d = min(decay, (1 + t)/(10 + t)) so that it starts fast."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self._parameters = dict(network.named_parameters())
        self.parameters: list[Tensor] = list(self._parameters.values())
        self.weights: dict[str, Tensor] = {k: p.detach().clone() for k, p in self._parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the weights of the network after optimiser step ``step`` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step)) if self.decay else 0.0
        averages = [self.weights[name] for name in self._parameters]
        torch._foreach_lerp_(averages, self.parameters, 1.0 - decay)

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        """Give the network the averaged weights within the block."""
        own = {k: p.detach().clone() for k, p in network.named_parameters()}
        copy_weights(network, self.weights)
        try:
            yield
        finally:
            copy_weights(network, own)


@torch.no_grad()
def copy_weights(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copy named weights into the parameters of a network."""
    for name, parameter in network.named_parameters():
        parameter.copy_(weights[name])

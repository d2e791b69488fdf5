"""Output networks of the TorchMD-NET equivariant transformer: from the features of the atoms to their energies."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from keel.potentials.networks.layered import State
from keel.potentials.networks.torchmd_et_blocks import ACTIVATIONS, linear, soft_norm


class GatedBlock(nn.Module):
    """Gated equivariant block of the output network (Schuett et al., ICML 2021, fig. 3).

        [x', g] = W2 act(W1 [x, |U1 V|] + b1) + b2,   V' = g U2 V

    Parameters
    ----------
    channels, outputs
        Number of channels before and after.
    activation
        Name of the activation function.
    softening
        eps in the norm sqrt(v^2 + eps^2) - eps, whose derivatives are finite at v = 0.
    last
        V' is not needed.
    """

    def __init__(self, channels: int, outputs: int, activation: str, softening: float, last: bool) -> None:
        super().__init__()
        self.act, self.softening, self.outputs = ACTIVATIONS[activation], softening, outputs
        self.u1 = linear(channels, channels, bias=False)
        self.u2 = None if last else linear(channels, outputs, bias=False)
        self.hidden = linear(2 * channels, channels)
        self.output = linear(channels, outputs if last else 2 * outputs)

    def forward(self, state: State) -> State:
        """Return x' (N, outputs), and V' (3, N, outputs) if it is needed."""
        x, v = state
        norm = soft_norm(self.u1(v), self.softening) - self.softening
        x = self.output(self.act(self.hidden(torch.cat([x, norm], dim=1))))
        if self.u2 is None:
            return (x,)
        x, gate = x.split(self.outputs, dim=1)
        return x, gate * self.u2(v)


class ScalarHead(nn.Module):
    """E_i = W2 act(W1 norm(x_i) + b1) + b2."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        self.act, self.norm = ACTIVATIONS[activation], nn.LayerNorm(channels)
        self.hidden, self.output = linear(channels, channels // 2), linear(channels // 2, 1)

    def forward(self, state: State) -> Tensor:
        """Return the energy of each atom, shape (N,)."""
        energies: Tensor = self.output(self.act(self.hidden(self.norm(state[0]))))[:, 0]
        return energies


class EquivariantScalarHead(nn.Module):
    """Two gated equivariant blocks, so that lengths of the vectors V enter the energy."""

    def __init__(self, channels: int, activation: str, softening: float) -> None:
        super().__init__()
        self.act, self.norm = ACTIVATIONS[activation], nn.LayerNorm(channels)
        self.first = GatedBlock(channels, channels // 2, activation, softening, last=False)
        self.second = GatedBlock(channels // 2, 1, activation, softening, last=True)

    def forward(self, state: State) -> Tensor:
        """Return the energy of each atom, shape (N,)."""
        x, v = self.first((self.norm(state[0]), state[1]))
        energies: Tensor = self.second((self.act(x), v))[0][:, 0]
        return energies

"""The Lennard-Jones potential: its properties are known, so every probe is tried on it first."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from keel.parallel import plain
from keel.potentials.classical.along import Along
from keel.potentials.classical.pair import PairPotential
from keel.potentials.switch import quintic_switch, quintic_switch_derivative


class LennardJones(PairPotential):
    """phi(r) = 4 epsilon [(sigma/r)^12 - (sigma/r)^6] s(r), the same for every pair of elements.

    s is the quintic C2 switch from 1 at 0.66 cutoff to 0 at the cutoff.

    Parameters
    ----------
    epsilon
        Well depth in eV (default: argon).
    sigma
        Distance of zero energy in angstrom.
    cutoff
        In angstrom.
    """

    epsilon: Tensor
    sigma: Tensor

    def __init__(self, epsilon: float = 0.0104, sigma: float = 3.4, cutoff: float = 8.5) -> None:
        super().__init__(cutoff)
        self.register_buffer("epsilon", torch.tensor(epsilon, dtype=torch.float64))
        self.register_buffer("sigma", torch.tensor(sigma, dtype=torch.float64))

    def config(self) -> dict[str, Any]:
        """See :class:`Potential`."""
        return {"epsilon": float(self.epsilon), "sigma": float(self.sigma), "cutoff": self.cutoff}

    def along_lists(self) -> Along:
        """See :class:`keel.potentials.classical.along.AlongLists`."""
        from keel.potentials.classical.pair_along import LENNARD_JONES, PairAlong

        values = np.array([[[float(self.epsilon), float(self.sigma)]]])
        reach = np.array([[[0.66 * self.cutoff, self.cutoff]]])
        return PairAlong(np.zeros_like(plain(self.species_index)), values, reach, LENNARD_JONES)

    def pair_energy(self, r: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`PairPotential`."""
        x6 = (self.sigma / r) ** 6
        phi = 4.0 * self.epsilon * (x6 * x6 - x6)
        slope = -24.0 * self.epsilon * (2.0 * x6 * x6 - x6) / r
        inner = 0.66 * self.cutoff
        s = quintic_switch(r, inner, self.cutoff)
        return phi * s, slope * s + phi * quintic_switch_derivative(r, inner, self.cutoff)

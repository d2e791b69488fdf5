"""Networks: potentials whose energies are learned, in units of the training forces."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from keel.atoms.elements import atomic_number
from keel.errors import ConfigError
from keel.potentials.base import Potential


class Network(Potential):
    """A learned potential: E_i = scale * network_i + offset of the element.

    ``scale`` (eV) is a fixed number, the root mean square of the DFT training forces in eV/angstrom, so that the
    network itself works with numbers of order one.

    Parameters
    ----------
    elements
        Symbols or atomic numbers that the network knows.
    cutoff
        In angstrom.
    """

    scale: Tensor

    def __init__(self, elements: Iterable[int | str], cutoff: float) -> None:
        numbers = [atomic_number(e) for e in elements]
        if not numbers:
            raise ConfigError("a network needs at least one element, e.g. elements=['Si', 'O']")
        if not cutoff > 0:
            raise ConfigError(f"the cutoff must be a positive length in angstrom, not {cutoff}")
        super().__init__(cutoff, numbers)
        self.register_buffer("scale", torch.ones(()))

    @property
    def n_species(self) -> int:
        """Number of elements that the network knows."""
        return len(self.elements or ())

"""A network that, like the EAM of its walls, does not see how much closer than in the data two atoms are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from keel.atoms.elements import atomic_number, pair_name
from keel.atoms.graph import AtomGraph
from keel.errors import ConfigError
from keel.potentials.base import MAX_ATOMIC_NUMBER, Potential, lengths
from keel.potentials.classical.contact import clamped
from keel.potentials.loading import build
from keel.potentials.networks.network import Network

SIZE = MAX_ATOMIC_NUMBER + 1


class ClampedNetwork(Potential):
    """A network for which the distance of two atoms is clamped, smoothly, at the closest contact of their elements.

        E(r_1, r_2, ...) = network(w_1, w_2, ...),    w_e = r_e q(|r_e|) / |r_e|

    with the edge vectors r_e and q of :func:`keel.potentials.classical.contact.clamped`. Above the contacts nothing
    changes, to the last digit. A fifth below one, the network exerts no force along the line between the two atoms: a
    wall that is added to it (:class:`~keel.ContactRepulsion`, :class:`~keel.ZBL`) stands, whatever the network learnt.

    Parameters
    ----------
    network
        Any network.
    contacts
        Closest contacts of pairs of elements (``"O-Si"``) in angstrom; other pairs are not clamped.

    Raises
    ------
    ConfigError
        If a contact is not positive, or beyond the cutoff of the network.
    """

    contact: Tensor

    def __init__(self, network: Network, contacts: Mapping[str, float]) -> None:
        super().__init__(network.cutoff, network.elements)
        self.network, self.half_list = network, network.half_list
        self.contacts: dict[str, float] = {}
        table = torch.zeros(SIZE, SIZE, dtype=torch.float64)
        for name, value in contacts.items():
            if not 0.0 < value < network.cutoff:
                raise ConfigError(f"the contact of {name} must be within the cutoff, {network.cutoff:g}, not {value}")
            a, b = sorted(map(atomic_number, name.split("-")))
            table[a, b] = table[b, a] = self.contacts[pair_name(a, b)] = float(value)
        self.register_buffer("contact", table.reshape(-1), persistent=False)

    def config(self) -> dict[str, Any]:
        """See :class:`Potential`."""
        network = {"potential": type(self.network).__name__, "config": self.network.config()}
        return {"network": network, "contacts": dict(sorted(self.contacts.items()))}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the network from its configuration."""
        network = build(config["network"]["potential"], config["network"]["config"])
        if not isinstance(network, Network):
            raise TypeError(f"a {type(network).__name__} is no network")
        return cls(network, config["contacts"])

    @property
    def scale(self) -> Tensor:
        """That of the network."""
        return self.network.scale

    @property
    def kind(self) -> str:
        """See :class:`~keel.showing.Shown`."""
        return f"clamped {self.network.kind}"

    def offsets(self) -> Tensor:
        """See :class:`Potential`."""
        return self.energy_offsets + self.network.offsets()

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        """See :class:`Potential`."""
        factor, _ = self._factors(graph, vectors)
        return self.network.atomic_energies(graph, vectors * factor)

    def energies_and_gradient(
        self, graph: AtomGraph, vectors: Tensor, *, differentiable: bool
    ) -> tuple[Tensor, Tensor]:
        """See :class:`Potential`; the network in its own way, compiled or layer by layer."""
        vectors = vectors.detach()
        factor, along = self._factors(graph, vectors)
        energies, g = self.network.energies_and_gradient(graph, vectors * factor, differentiable=differentiable)
        # dE/dr = f g + (dq/dr - f) (g n) n with f = q / r and the unit vector n.
        return energies, factor * g + along * (g * vectors).sum(dim=1, keepdim=True) * vectors

    def _factors(self, graph: AtomGraph, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return q / r and (dq/dr - q / r) / r^2 of each edge, shape (E, 1)."""
        i, j = graph.edge_index
        numbers = graph.numbers
        pair = numbers.index_select(0, i) * SIZE + numbers.index_select(0, j)
        r = lengths(vectors)
        q, slope = clamped(r, self.contact.index_select(0, pair).to(r.dtype))
        factor = q / r
        return factor[:, None], ((slope - factor) / (r * r))[:, None]


Learner = Network | ClampedNetwork
"""What is trained, and used on top of a base."""


def network_in(learner: Learner) -> Network:
    """Return the network itself."""
    return learner.network if isinstance(learner, ClampedNetwork) else learner

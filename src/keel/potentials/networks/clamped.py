"""A network that, like the EAM, does not see how much closer than in the data two atoms are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

from torch import Tensor

from keel.atoms.elements import pair_name, pair_numbers, symbol
from keel.atoms.graph import AtomGraph
from keel.errors import ConfigError
from keel.potentials.base import Potential, lengths
from keel.potentials.classical.contact import clamped
from keel.potentials.classical.pair import SIZE, pair_table
from keel.potentials.loading import build
from keel.potentials.networks.network import Network
from keel.ranges import Reach, checked
from keel.showing import Facts
from keel.wording import a

BELOW = 0.98
"""Pairs closer than this share of their contact feel forces that the network cannot learn: dq/dr is then below 0.97."""


class ClampedNetwork(Potential):
    """A network for which the distance of two atoms is clamped, smoothly, at the closest contact of their elements.

        E(r_1, r_2, ...) = network(w_1, w_2, ...),    w_e = r_e q(|r_e|) / |r_e|

    with the edge vectors r_e and q of :func:`keel.potentials.classical.contact.clamped`. Above the contacts nothing
    changes, to the last digit. A fifth below one the energy does not depend on the distance of the two atoms, so that
    the network does not pull them together against a wall that is added to it (:class:`~keel.ContactRepulsion`,
    :class:`~keel.ZBL`). It still knows directions: through angles with a third atom it can push and pull.

    Parameters
    ----------
    network
        Any network.
    contacts
        Closest contacts of pairs of elements (``"O-Si"``) in angstrom, below its cutoff; other pairs are not clamped.

    Raises
    ------
    ConfigError
        If it is not a network, or a contact is not positive, not below the cutoff, or of elements it does not know.
    """

    contact: Tensor

    def __init__(self, network: Network, contacts: Mapping[str, float]) -> None:
        if not isinstance(network, Network):
            raise ConfigError(f"only a network can be clamped, not {a(type(network).__name__)}")
        super().__init__(network.cutoff, network.elements)
        self.network, self.half_list = network, network.half_list
        self.contacts: dict[str, float] = {}
        known = {}
        for name, given in contacts.items():
            first, second = self._pair(name)
            contact = float(checked(Reach, given, f"the contact of {name}"))
            if contact >= network.cutoff:
                raise ConfigError(
                    f"the contact of {name}, {contact:g} angstrom, must be below the cutoff of the network, "
                    f"{network.cutoff:g}"
                )
            self.contacts[pair_name(first, second)] = known[first, second] = contact
        self.register_buffer("contact", pair_table(known), persistent=False)

    def _pair(self, name: str) -> tuple[int, int]:
        """Return the atomic numbers of a pair that is named once and whose elements the network knows."""
        first, second = pair_numbers(name)
        if unknown := {first, second} - set(self.elements or ()):
            raise ConfigError(f"the contact of {name}: the network does not know {symbol(min(unknown))}")
        if pair_name(first, second) in self.contacts:
            raise ConfigError(f"the contact of {name} is given twice")
        return first, second

    def config(self) -> dict[str, Any]:
        """See :class:`Potential`."""
        network = {"potential": type(self.network).__name__, "config": self.network.config()}
        return {"network": network, "contacts": dict(sorted(self.contacts.items()))}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the network from its configuration."""
        network: Any = build(config["network"]["potential"], config["network"]["config"])
        return cls(network, config["contacts"])

    @property
    def scale(self) -> Tensor:
        """That of the network."""
        return self.network.scale

    def called(self) -> str:
        """See :class:`~keel.showing.Shown`."""
        return f"clamped {self.network.called()}"

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        contacts = ", ".join(f"{pair} {contact:.3g}" for pair, contact in sorted(self.contacts.items()))
        return {**super().facts(), "clamped at": f"{contacts} angstrom"}

    def offsets(self) -> Tensor:
        """See :class:`Potential`."""
        return self.energy_offsets + self.network.offsets()

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        """See :class:`Potential`."""
        r, q, _ = self._distances(graph, vectors)
        return self.network.atomic_energies(graph, vectors * (q / r))

    def energies_and_gradient(
        self, graph: AtomGraph, vectors: Tensor, *, differentiable: bool
    ) -> tuple[Tensor, Tensor]:
        """See :class:`Potential`; the network in its own way, compiled or layer by layer."""
        vectors = vectors.detach()
        r, q, slope = self._distances(graph, vectors)
        factor = q / r
        energies, g = self.network.energies_and_gradient(graph, vectors * factor, differentiable=differentiable)
        # dE/dr = f g + (dq/dr - f) (g n) n with f = q / r and the unit vector n.
        along = (slope - factor) / (r * r)
        return energies, factor * g + along * (g * vectors).sum(dim=1, keepdim=True) * vectors

    def closer(self, graph: AtomGraph) -> Iterator[tuple[str, float]]:
        """Yield elements and distance in angstrom of each pair of atoms that is clearly below its contact."""
        r = lengths(graph.edge_vectors())
        for edge in (r < BELOW * self._contact(graph)).nonzero()[:, 0].tolist():
            yield pair_name(*graph.numbers[graph.edge_index[:, edge]].tolist()), float(r[edge])

    def _contact(self, graph: AtomGraph) -> Tensor:
        """Return the contact of the elements of each edge, 0 where there is none, shape (E,)."""
        i, j = (graph.numbers.index_select(0, ends) for ends in graph.edge_index)
        return self.contact.index_select(0, i * SIZE + j)

    def _distances(self, graph: AtomGraph, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return r, q and dq/dr of each edge, shape (E, 1)."""
        r = lengths(vectors)
        q, slope = clamped(r, self._contact(graph).to(r.dtype))
        return r[:, None], q[:, None], slope[:, None]


Learner = Network | ClampedNetwork
"""What is trained, and used on top of a base."""


def network_in(learner: Learner) -> Network:
    """Return the network itself."""
    return learner.network if isinstance(learner, ClampedNetwork) else learner

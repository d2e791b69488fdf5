"""M3GNet, the materials graph network with three-body interactions, as an interatomic potential.

Source: Chen & Ong, Nat. Comput. Sci. 2, 718 (2022).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypedDict, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional

from keel.errors import ConfigError
from keel.potentials.base import lengths
from keel.potentials.networks.bessel import smooth_bessel_basis, spherical_bessel_basis
from keel.potentials.networks.gather import gather
from keel.potentials.networks.harmonics import AngularBasis
from keel.potentials.networks.layered import Chain, State
from keel.potentials.networks.m3gnet_blocks import Block, GatedPerceptron, Geometry
from keel.potentials.networks.network import Edges, Mode, Network, Preset
from keel.potentials.switch import quintic_switch


def softplus2(x: Tensor) -> Tensor:
    """ln(1 + e^x) - ln 2."""
    return functional.softplus(x) - 0.6931471805599453


ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "swish": functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": functional.softplus,
    "softplus2": softplus2,
}
"""Activations of the edge embedding by the names of the reference implementation."""


class M3GNetOptions(TypedDict, total=False):
    """Options of :class:`M3GNet`; None: that of the preset."""

    node_features: int | None
    edge_features: int | None
    units: int | None
    blocks: int | None
    max_n: int | None
    max_l: int | None
    three_body_cutoff: float | None
    smooth_basis: bool | None
    activation: str | None
    switch_from: float | None


class M3GNet(Network):
    """Materials three-body graph network.

    Atom vectors start from a learned embedding of the element, edge vectors from one of spherical Bessel functions of
    the distance. In each block the angles to the other neighbours update the edges, then the edges the atoms; a gated
    perceptron turns each atom vector into the energy of its atom. Extensive, without global state.

    Parameters
    ----------
    elements
        Symbols or atomic numbers that the network knows.
    cutoff
        In angstrom.
    preset
        Values of options that are not given: ``"small"``, ``"default"`` or ``"paper"`` (Chen & Ong).
    mode
        ``"smooth"``: the radial features are multiplied by the quintic switch from 1 at ``switch_from * cutoff`` to 0
        at the cutoff, so that energy and forces vanish there (features of ``smooth_basis`` do so by themselves).
        ``"reference"``: as published, where the force jumps at the cutoff.
    node_features, edge_features
        Length of the atom and edge vectors.
    units
        Width of the gated perceptrons.
    blocks
        Number of blocks.
    max_n, max_l
        Number of radial functions for each l, and of degrees l, of the bases.
    three_body_cutoff
        In angstrom; by default 4, and never more than the cutoff. Closer neighbours take part in angles.
    smooth_basis
        Radial functions whose value, slope and curvature vanish at the cutoff (``use_smooth`` of the reference
        implementation) instead of spherical Bessel functions.
    activation
        Of the edge embedding: ``"swish"``, ``"tanh"``, ``"sigmoid"``, ``"softplus"`` or ``"softplus2"``; perceptrons
        have SiLU, as published.
    switch_from
        Where the switch begins, in units of the cutoff.

    Raises
    ------
    ConfigError
        If an option is out of its range.

    Examples
    --------
    >>> import keel
    >>> network = keel.M3GNet(elements=["P"], preset="small")
    >>> network(keel.batch(keel.datasets.phosphorus()[0], cutoff=5.0)).forces.shape
    torch.Size([32, 3])
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {"cutoff": 5.0, "node_features": 32, "edge_features": 32, "units": 32, "blocks": 2},
        "default": {"cutoff": 5.0, "node_features": 64, "edge_features": 64, "units": 64, "blocks": 3},
        "paper": {"cutoff": 5.0, "node_features": 64, "edge_features": 64, "units": 64, "blocks": 3},
    }
    same: ClassVar[Mapping[str, Any]] = {
        "max_n": 3,
        "max_l": 3,
        "three_body_cutoff": None,
        "smooth_basis": False,
        "activation": "swish",
        "switch_from": 0.0,
    }

    def __init__(
        self,
        elements: Iterable[int | str],
        cutoff: float | None = None,
        preset: Preset = "default",
        mode: Mode = "smooth",
        **given: Unpack[M3GNetOptions],
    ) -> None:
        options = self.options(preset, cutoff=cutoff, **given)
        super().__init__(elements, options["cutoff"], mode)
        within = options["three_body_cutoff"]
        self.three_body_cutoff = min(4.0, self.cutoff) if within is None else float(within)
        self.max_n, self.max_l = max_n, max_l = options["max_n"], options["max_l"]
        self.smooth_basis: bool = options["smooth_basis"]
        self.activation: str = options["activation"]
        self.switch_from: float = options["switch_from"]
        nodes, features, width = options["node_features"], options["edge_features"], options["units"]
        self._check(min(nodes, features, width, options["blocks"], max_n, max_l))
        functions = max_n * max_l
        self.basis = (
            smooth_bessel_basis(self.cutoff, functions)
            if self.smooth_basis
            else spherical_bessel_basis(self.cutoff, max_n, max_l)
        )
        self.radial_features = max_n if self.smooth_basis else functions
        self.angular = AngularBasis(max_n, max_l)
        self.embedding = nn.Embedding(self.n_species, nodes)
        self.edge_embedding = nn.Linear(self.radial_features, features)
        self.blocks = nn.ModuleList(
            [Block(nodes, features, width, self.radial_features, functions) for _ in range(options["blocks"])]
        )
        self.readout = GatedPerceptron([nodes, nodes, width, width, 1], activate_last=False)

    def _check(self, smallest: int) -> None:
        if smallest < 1:
            raise ConfigError("node_features, edge_features, units, blocks, max_n and max_l must each be at least 1")
        if not 0 < self.three_body_cutoff <= self.cutoff:
            raise ConfigError(
                f"three_body_cutoff must be a positive length of at most the cutoff, {self.cutoff:g} angstrom, "
                f"not {self.three_body_cutoff:g}"
            )
        if self.activation not in ACTIVATIONS:
            raise ConfigError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {self.activation!r}")
        if not 0.0 <= self.switch_from < 1.0:
            raise ConfigError(f"switch_from is a fraction of the cutoff in [0, 1), not {self.switch_from}")

    def config(self) -> dict[str, Any]:
        """See :class:`Potential`."""
        return {
            "elements": list(self.elements or ()),
            "cutoff": self.cutoff,
            "mode": self.mode,
            "node_features": self.embedding.embedding_dim,
            "edge_features": self.edge_embedding.out_features,
            "units": self.readout.core[0].out_features,
            "blocks": len(self.blocks),
            "max_n": self.max_n,
            "max_l": self.max_l,
            "three_body_cutoff": self.three_body_cutoff,
            "smooth_basis": self.smooth_basis,
            "activation": self.activation,
            "switch_from": self.switch_from,
        }

    def near(self, vectors: Tensor) -> Tensor:
        """Return the edges closer than the three-body cutoff, shape (E',)."""
        return (vectors.square().sum(dim=1) < self.three_body_cutoff**2).nonzero()[:, 0]

    def chain(self, edges: Edges) -> Chain:
        """See :class:`Network`."""
        constants = (*edges[1:], gather(edges.i, edges.near), gather(edges.j, edges.near), self.angular.sum_over_m)
        return Chain(
            (self.embedding(edges.species),), self._geometry, self.blocks, self._output, constants, edge_states=1
        )

    def _geometry(self, vectors: Tensor, i: Tensor, j: Tensor, near: Tensor, *_: Tensor) -> Geometry:
        r = lengths(vectors)
        radial = self.basis(r)
        h = radial[:, : self.radial_features]
        if self.mode == "smooth" and not self.smooth_basis:
            h = h * quintic_switch(r, self.switch_from * self.cutoff, self.cutoff)[:, None]
        distance = gather(r, near)
        envelope = quintic_switch(distance, 0.0, self.three_body_cutoff)[:, None]
        unit = gather(vectors, near) / distance[:, None]
        harmonics, sources = self.angular(unit, gather(radial, near) * envelope)
        e = ACTIVATIONS[self.activation](self.edge_embedding(h))
        return Geometry(h, e, sources, harmonics * envelope)

    def _output(self, state: State) -> Tensor:
        energies: Tensor = self.readout(state[0])[:, 0]
        return energies

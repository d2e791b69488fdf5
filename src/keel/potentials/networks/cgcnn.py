"""The crystal graph convolutional neural network (CGCNN) as an interatomic potential.

Source: Xie & Grossman, Phys. Rev. Lett. 120, 145301 (2018), eq. 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypedDict, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional

from keel.errors import ConfigError
from keel.potentials.base import lengths
from keel.potentials.networks.gather import gather
from keel.potentials.networks.layered import Chain, State
from keel.potentials.networks.network import Edges, Mode, Network, Preset
from keel.potentials.networks.radial import GaussianBasis
from keel.potentials.switch import quintic_switch


class Convolution(nn.Module):
    """Gated convolution over neighbours.

        v_i' = v_i + sum_j sigmoid(z_ij W_f + b_f) * softplus(z_ij W_s + b_s) s(r_ij),   z_ij = [v_i, v_j, e_ij]

    The product z W is the sum of three: those of v_i and v_j are taken once per atom, that of e_ij once per pair, for
    e_ij = e_ji. The gate (f) and the core (s) are stacked in this order in one matrix of 2 F rows.

    Parameters
    ----------
    features
        Length F of the atom vectors.
    basis
        Length of the edge vectors e_ij.
    """

    def __init__(self, features: int, basis: int) -> None:
        super().__init__()
        self.centre = nn.Linear(features, 2 * features)
        self.neighbour = nn.Linear(features, 2 * features, bias=False)
        self.edge = nn.Linear(basis, 2 * features, bias=False)
        # The three blocks are one matrix: initialise them as one of 2 F + basis columns.
        bound = (2 * features + basis) ** -0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, state: State, geometry: tuple[Tensor, ...], i: Tensor, j: Tensor) -> State:
        """Return the new atom vectors (N, F) from a half list, ``e`` (E, basis) and, if there is one, s (E, 1)."""
        (v,), (e, *switch) = state, geometry
        # Halved before they are summed, so that compiled code makes each message in one loop and keeps no sum.
        centre, neighbour, edge = (x.chunk(2, dim=1) for x in (self.centre(v), self.neighbour(v), self.edge(e)))
        for a, b in ((i, j), (j, i)):
            gate, core = (x + gather(c, a) + gather(n, b) for x, c, n in zip(edge, centre, neighbour, strict=True))
            message = torch.sigmoid(gate) * functional.softplus(core)
            if switch:
                message = message * switch[0]
            v = v.index_add(0, a, message)
        return (v,)


class CGCNNOptions(TypedDict, total=False):
    """Options of :class:`CGCNN`; None: that of the preset."""

    features: int | None
    convolutions: int | None
    gaussians: int | None
    hidden: int | None
    switch_from: float | None


class CGCNN(Network):
    """Crystal graph convolutional neural network.

    Atom vectors start from a learned embedding of the element, pass through gated convolutions with Gaussian
    distance features, and a two-layer perceptron turns each into the energy of its atom.

    Parameters
    ----------
    elements
        Symbols or atomic numbers that the network knows.
    cutoff
        In angstrom.
    preset
        Values of options that are not given: ``"small"``, ``"default"`` or ``"paper"`` (Xie & Grossman).
    mode
        ``"smooth"``: each message is multiplied by the quintic switch from 1 at ``switch_from * cutoff`` to 0 at the
        cutoff, so that energy and forces vanish there. ``"reference"``: messages as published, cut off abruptly.
    features
        Length of the atom vectors.
    convolutions
        Number of convolutions.
    gaussians
        Number of Gaussian distance features.
    hidden
        Width of the perceptron.
    switch_from
        Where the switch begins, in units of the cutoff.

    Raises
    ------
    ConfigError
        If an option is out of its range.

    Examples
    --------
    >>> import keel
    >>> network = keel.CGCNN(elements=["P"], cutoff=5.0)
    >>> network(keel.batch(keel.datasets.phosphorus()[0], cutoff=5.0)).forces.shape
    torch.Size([32, 3])
    """

    half_list = True
    many_edges: ClassVar[int] = 50_000  # pairs; it costs a quarter of the time, for other networks half
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {"cutoff": 5.0, "features": 32, "convolutions": 2, "gaussians": 40, "hidden": 64},
        "default": {"cutoff": 5.0, "features": 64, "convolutions": 3, "gaussians": 50, "hidden": 128},
        "paper": {"cutoff": 8.0, "features": 64, "convolutions": 3, "gaussians": 41, "hidden": 128},
    }
    same: ClassVar[Mapping[str, Any]] = {"switch_from": 0.0}

    def __init__(
        self,
        elements: Iterable[int | str],
        cutoff: float | None = None,
        preset: Preset = "default",
        mode: Mode = "smooth",
        **given: Unpack[CGCNNOptions],
    ) -> None:
        options = self.options(preset, cutoff=cutoff, **given)
        super().__init__(elements, options["cutoff"], mode)
        n, gaussians, hidden = options["features"], options["gaussians"], options["hidden"]
        if min(n, options["convolutions"], hidden) < 1 or gaussians < 2:
            raise ConfigError("features, convolutions and hidden must be at least 1 and gaussians at least 2")
        self.switch_from: float = options["switch_from"]
        if not 0.0 <= self.switch_from < 1.0:
            raise ConfigError(f"switch_from is a fraction of the cutoff in [0, 1), not {self.switch_from}")
        self.embedding = nn.Embedding(self.n_species, n)
        self.basis = GaussianBasis(self.cutoff, gaussians)
        self.convolutions = nn.ModuleList([Convolution(n, gaussians) for _ in range(options["convolutions"])])
        self.readout = nn.Sequential(nn.Linear(n, hidden), nn.SiLU(), nn.Linear(hidden, 1))

    def config(self) -> dict[str, Any]:
        """See :class:`Potential`."""
        return {
            "elements": list(self.elements or ()),
            "cutoff": self.cutoff,
            "mode": self.mode,
            "features": self.embedding.embedding_dim,
            "convolutions": len(self.convolutions),
            "gaussians": len(self.basis.indices),
            "hidden": self.readout[0].out_features,
            "switch_from": self.switch_from,
        }

    def chain(self, edges: Edges) -> Chain:
        """See :class:`Network`."""
        start = (self.embedding(edges.species),)
        return Chain(start, self._geometry, self.convolutions, self._output, (edges.i, edges.j))

    def _geometry(self, vectors: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        """Return the distance features (E, gaussians) and, in smooth mode, the switch (E, 1)."""
        r = lengths(vectors)
        if self.mode == "reference":
            return (self.basis(r),)
        return self.basis(r), quintic_switch(r, self.switch_from * self.cutoff, self.cutoff)[:, None]

    def _output(self, state: State) -> Tensor:
        energies: Tensor = self.readout(state[0])[:, 0]
        return energies

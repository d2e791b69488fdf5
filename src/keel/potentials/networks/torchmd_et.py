"""The equivariant transformer of TorchMD-NET.

Source: Tholke & De Fabritiis, "TorchMD-NET: Equivariant Transformers for Neural Network based Molecular Potentials",
ICLR 2022.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, TypedDict, Unpack, get_args

from torch import nn

from keel.errors import ConfigError
from keel.potentials.networks.layered import Chain, State
from keel.potentials.networks.network import Edges, Mode, Network, Preset
from keel.potentials.networks.radial import ExponentialNormalBasis, FreeGaussianBasis
from keel.potentials.networks.torchmd_et_blocks import ACTIVATIONS, Attention, NeighbourEmbedding, PairGeometry
from keel.potentials.networks.torchmd_et_heads import EquivariantScalarHead, ScalarHead

RadialBasis = Literal["expnorm", "gauss"]
Influence = Literal["keys", "values", "both", "none"]
OutputModel = Literal["EquivariantScalar", "Scalar"]

SOFTENING = {"smooth": 1e-2, "reference": 1e-12}
"""eps in the lengths sqrt(v^2 + eps^2) of edges (angstrom) and features: finite derivatives at length zero."""

_COMMON = {
    "cutoff": 5.0,
    "num_rbf": 32,
    "rbf_type": "expnorm",
    "trainable_rbf": False,
    "activation": "silu",
    "attn_activation": "silu",
    "neighbor_embedding": True,
    "distance_influence": "both",
    "cutoff_lower": 0.0,
    "output_model": "EquivariantScalar",
}


class TorchMDETOptions(TypedDict, total=False):
    """Options of :class:`TorchMDET`; None: that of the preset."""

    channels: int | None
    layers: int | None
    heads: int | None
    num_rbf: int | None
    rbf_type: RadialBasis | None
    trainable_rbf: bool | None
    activation: str | None
    attn_activation: str | None
    neighbor_embedding: bool | None
    distance_influence: Influence | None
    cutoff_lower: float | None
    vector_cutoff: bool | None
    output_model: OutputModel | None


class TorchMDET(Network):
    """Equivariant transformer of TorchMD-NET.

    Each atom carries C scalars x and C vectors V. Attention, whose keys and values are filtered by functions of the
    distance, updates both; an output network turns them into the energy of the atom.

    Parameters
    ----------
    elements
        Symbols or atomic numbers that the network knows.
    cutoff
        In angstrom.
    preset
        Values of options that are not given: ``"small"``, ``"default"`` or ``"paper"`` (that for MD17).
    mode
        ``"smooth"``: the cutoff function multiplies all messages, and lengths are softened by 0.01, so that energies
        have derivatives everywhere, which vanish at the cutoff. ``"reference"``: exactly as torchmd-net 3.1.0.
    channels
        Number C of scalars and of vectors of each atom.
    layers
        Number of attention layers.
    heads
        Number of attention heads; divides ``channels``.
    num_rbf
        Number of radial basis functions.
    rbf_type
        ``"expnorm"`` (exponential-normal functions) or ``"gauss"``.
    trainable_rbf
        Whether centres and widths of the radial basis are trained.
    activation, attn_activation
        Activation function of the network, and of the attention: ``"silu"``, ``"ssp"`` (shifted softplus), ``"tanh"``,
        ``"sigmoid"``, ``"mish"`` or ``"swish"`` (the same as silu).
    neighbor_embedding
        Whether the elements of the neighbours enter the first atom vectors.
    distance_influence
        Where functions of the distance enter the attention: ``"keys"``, ``"values"``, ``"both"`` or ``"none"``.
    cutoff_lower
        Atoms closer than this do not interact, in angstrom.
    vector_cutoff
        Whether the cutoff function multiplies all messages, or only the attention, so that the vectors' messages are
        cut off abruptly. None: True in the smooth mode, which needs it, False in the reference mode.
    output_model
        ``"EquivariantScalar"``: scalars and lengths of vectors make the energy. ``"Scalar"``: scalars only.

    Raises
    ------
    ConfigError
        If an option is out of its range.

    Examples
    --------
    >>> import keel
    >>> network = keel.TorchMDET(elements=["P"], preset="small")
    >>> network(keel.batch(keel.datasets.phosphorus()[0], cutoff=5.0)).forces.shape
    torch.Size([32, 3])
    """

    half_list = True
    trained_in_layers = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {**_COMMON, "channels": 32, "layers": 2, "heads": 4},
        "default": {**_COMMON, "channels": 64, "layers": 4, "heads": 8},
        "paper": {**_COMMON, "channels": 128, "layers": 6, "heads": 8},
    }
    same: ClassVar[Mapping[str, Any]] = {"vector_cutoff": None}

    def __init__(
        self,
        elements: Iterable[int | str],
        cutoff: float | None = None,
        preset: Preset = "default",
        mode: Mode = "smooth",
        **given: Unpack[TorchMDETOptions],
    ) -> None:
        options = self.options(preset, cutoff=cutoff, **given)
        super().__init__(elements, options["cutoff"], mode)
        if options["vector_cutoff"] is None:
            options["vector_cutoff"] = mode == "smooth"
        _check(options, mode)
        self.chosen = options
        self._build()

    def _build(self) -> None:
        o, softening = self.chosen, SOFTENING[self.mode]
        c, size, lower = o["channels"], o["num_rbf"], o["cutoff_lower"]
        basis = ExponentialNormalBasis if o["rbf_type"] == "expnorm" else FreeGaussianBasis
        self.geometry = PairGeometry(basis(self.cutoff, size, lower, o["trainable_rbf"]), self.cutoff, lower, softening)
        self.embedding = nn.Embedding(self.n_species, c)
        layers: list[nn.Module] = []
        if o["neighbor_embedding"]:
            self.second_embedding = nn.Embedding(self.n_species, c)
            layers.append(NeighbourEmbedding(c, size))
        scalar = o["output_model"] == "Scalar"
        layers += [
            Attention(
                c,
                o["heads"],
                size,
                o["distance_influence"],
                (o["activation"], o["attn_activation"]),
                o["vector_cutoff"],
                last=scalar and n == o["layers"] - 1,
            )
            for n in range(o["layers"])
        ]
        self.layers = nn.ModuleList(layers)
        self.head = ScalarHead(c, o["activation"]) if scalar else EquivariantScalarHead(c, o["activation"], softening)

    def config(self) -> dict[str, Any]:
        """See :class:`Potential`."""
        return {"elements": list(self.elements or ()), "mode": self.mode, **self.chosen}

    def chain(self, edges: Edges) -> Chain:
        """See :class:`Network`."""
        start: State = (self.embedding(edges.species),)
        if self.chosen["neighbor_embedding"]:
            start = (*start, self.second_embedding(edges.species))
        return Chain(start, self.geometry, self.layers, self.head, (edges.i, edges.j))


def _check(options: Mapping[str, Any], mode: str) -> None:
    """Raise ConfigError if an option is out of its range."""
    for name, least in (("channels", 2), ("layers", 1), ("heads", 1), ("num_rbf", 2)):
        if options[name] < least:
            raise ConfigError(f"{name} must be at least {least}, not {options[name]}")
    if options["channels"] % options["heads"]:
        raise ConfigError(f"heads ({options['heads']}) must divide channels ({options['channels']})")
    choices = {
        "rbf_type": get_args(RadialBasis),
        "distance_influence": get_args(Influence),
        "output_model": get_args(OutputModel),
        "activation": tuple(ACTIVATIONS),
        "attn_activation": tuple(ACTIVATIONS),
    }
    for name, known in choices.items():
        if options[name] not in known:
            raise ConfigError(f"{name} must be one of {', '.join(known)}, not {options[name]!r}")
    if not 0.0 <= options["cutoff_lower"] < options["cutoff"]:
        raise ConfigError(f"cutoff_lower must lie between 0 and the cutoff, not {options['cutoff_lower']}")
    if mode == "smooth" and not options["vector_cutoff"]:
        raise ConfigError("without vector_cutoff the energy jumps at the cutoff; use mode='reference'")

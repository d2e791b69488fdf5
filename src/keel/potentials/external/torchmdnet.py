"""Networks of torchmd-net (TensorNet, equivariant transformer, ...) as networks of keel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from keel.atoms.elements import symbol
from keel.atoms.graph import AtomGraph
from keel.errors import ConfigError, DataError
from keel.potentials.base import lengths
from keel.potentials.external.extras import optional
from keel.potentials.external.network import ForeignNetwork

MODELS = ("tensornet", "equivariant-transformer")
OPTIONS: Mapping[str, Any] = {
    "embedding_dimension": 128,
    "num_layers": 2,
    "num_rbf": 32,
    "rbf_type": "expnorm",
    "trainable_rbf": False,
    "activation": "silu",
    "attn_activation": "silu",
    "num_heads": 8,
    "distance_influence": "both",
    "neighbor_embedding": True,
    "vector_cutoff": True,
    "equivariance_invariance_group": "O(3)",
    "cutoff_lower": 0.0,
    "max_z": 119,
    "output_model": "Scalar",
    "output_mlp_num_layers": 0,
}
"""Options of torchmd-net's ``create_model`` that can be given, with their defaults."""
FIXED: Mapping[str, Any] = {
    "precision": 32,
    "derivative": False,
    "reduce_op": "add",
    "atom_filter": -1,
    "prior_model": None,
    "box_vecs": None,
    "static_shapes": False,
    # Only their own neighbour search needs it.
    "max_num_neighbors": 1,
}


class TorchMDNetPotential(ForeignNetwork):
    """A network of torchmd-net on keel's neighbour lists: E_i = scale * torchmd_i + offset of the element.

    torchmd-net's own neighbour search silently loses edges where the cell is shorter than twice the cutoff; here all
    edges are present. Its layers take an edge from an atom to its own image for the atom itself, so a cell with such
    edges (shorter than the cutoff in some direction) is refused.

    Parameters
    ----------
    elements
        Symbols or atomic numbers that the network knows.
    cutoff
        In angstrom.
    model
        ``"tensornet"`` or ``"equivariant-transformer"``.
    **options
        Hyper-parameters of torchmd-net, see :data:`OPTIONS`.

    Raises
    ------
    UnavailableError
        If torchmd-net is not installed.
    ConfigError
        If there is no such option.
    DataError
        When it is used: if an atom is within the cutoff of its own image.
    """

    def __init__(
        self, elements: Iterable[int | str], cutoff: float = 5.0, model: str = "tensornet", **options: Any
    ) -> None:
        super().__init__(elements, cutoff)
        if model not in MODELS:
            raise ConfigError(f"TorchMDNetPotential: model must be one of {', '.join(MODELS)}, not {model!r}")
        unknown = sorted(set(options) - set(OPTIONS))
        if unknown:
            raise ConfigError(f"TorchMDNetPotential: there is no option {', '.join(unknown)}")
        create = optional("torchmdnet.models.model", "TorchMDNetPotential", "torchmd-net", "torchmd-net").create_model
        self.architecture = {"model": model, **OPTIONS, **options}
        self.model = create({**FIXED, **self.architecture, "cutoff_upper": self.cutoff})
        network = self.model.representation_model
        network.distance = GivenEdges(loops=bool(network.distance.loop))
        self.to(torch.get_default_dtype())

    @classmethod
    def from_model(cls, model: Any, hyper_parameters: Mapping[str, Any], elements: Iterable[int | str]) -> Self:
        """Take over a trained ``TorchMD_Net``, with its energies and forces unchanged.

        Parameters
        ----------
        model
            The model, e.g. from ``torchmdnet.models.model.load_model``.
        hyper_parameters
            Those that it was created with: ``checkpoint["hyper_parameters"]``.
        elements
            Those that it was trained on.

        Raises
        ------
        ConfigError
            If it is of a kind that cannot be taken over (says why).
        """
        if float(model.mean) != 0:
            raise ConfigError("TorchMDNetPotential: a model that adds a mean to each structure cannot be taken over")
        options = {key: hyper_parameters[key] for key in OPTIONS if key in hyper_parameters}
        cutoff = float(hyper_parameters["cutoff_upper"])
        network = cls(elements, cutoff, hyper_parameters["model"], **options).to(next(model.parameters()).dtype)
        network.set_offsets(_references(model, network.elements or ()))
        network.scale.fill_(float(model.std))
        unused = ("prior_model.", "representation_model.distance.")
        weights = {k: v.cpu() for k, v in model.state_dict().items() if not k.startswith(unused)}
        weights["std"] = torch.ones_like(weights["std"])
        try:
            network.model.load_state_dict(weights)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"TorchMDNetPotential: the model does not fit its hyper-parameters ({reason})") from None
        network.trained = True
        return network.eval()

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        """See :class:`Potential`."""
        i, j = graph.edge_index
        if bool((i == j).any()):
            structure = int(graph.batch[i[i == j][0]])
            numbers = graph.numbers[graph.batch == structure]
            raise DataError(
                f"structure {structure} of the batch ({_formula(numbers)}): its cell is shorter than the cutoff of "
                f"{self.cutoff:g} angstrom, for which torchmd-net is wrong; use a larger cell"
            )
        n = graph.n_atoms
        self.model.representation_model.distance.give(i, j, vectors, n)
        # torchmd-net sums over the atoms of each structure; here each atom is one.
        atoms = torch.arange(n, device=vectors.device)
        energies: Tensor = self.model(graph.numbers, vectors.new_zeros(n, 3), batch=atoms)[0]
        return self.scale * energies.reshape(n)


class GivenEdges(nn.Module):
    """Replaces torchmd-net's neighbour search, and returns a known list.

    Parameters
    ----------
    loops
        Add an edge of length zero from each atom to itself.
    """

    def __init__(self, loops: bool) -> None:
        super().__init__()
        self.loops = loops
        self.edges: tuple[Tensor, Tensor, Tensor] | None = None

    def give(self, i: Tensor, j: Tensor, vectors: Tensor, n_atoms: int) -> None:
        """Keep the edges for the next call."""
        atoms = torch.arange(n_atoms if self.loops else 0, device=vectors.device)
        zeros = vectors.new_zeros(len(atoms), 3)
        # torchmd-net's vectors point from the second atom to the first.
        index = torch.stack([torch.cat([j, atoms]), torch.cat([i, atoms])])
        self.edges = index, torch.cat([lengths(vectors), zeros[:, 0]]), torch.cat([vectors, zeros])

    def forward(self, positions: Tensor, batch: Tensor, box: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return index (2, E), lengths (E,) and vectors (E, 3), whatever the positions."""
        assert self.edges is not None
        # Returned only once: stored, they would keep the whole autograd graph.
        edges, self.edges = self.edges, None
        return edges


def _references(model: Any, elements: Iterable[int]) -> dict[int, float]:
    """Return the energies of the atoms that a trained model adds."""
    energies = dict.fromkeys(elements, 0.0)
    for prior in model.prior_model or ():
        if type(prior).__name__ not in ("Atomref", "LearnableAtomref"):
            raise ConfigError(
                f"TorchMDNetPotential: a model with the prior {type(prior).__name__} cannot be taken over"
            )
        if prior.enable:
            known = prior.atomref.weight[:, 0].tolist()
            energies = {z: e + (known[z] if z < len(known) else 0.0) for z, e in energies.items()}
    return energies


def _formula(numbers: Tensor) -> str:
    counts = torch.bincount(numbers)
    return "".join(f"{symbol(z)}{int(counts[z])}" for z in counts.nonzero()[:, 0].tolist())

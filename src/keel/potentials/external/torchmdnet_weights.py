"""Names and order of torchmd-net's weights, and keel's."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from keel.errors import DataError
from keel.potentials.networks.torchmd_et import TorchMDET

# Names in older checkpoints, see torchmd-net's pull request 314.
_OLD_NAMES = (
    (r"^model\.", ""),
    (r"^prior_model\.(?!\d)", "prior_model.0."),
    (r"(output_network\.\d+\.update_net)\.(\d+)\.", r"\1.layers.\2."),
    (r"(output_model\.output_network)\.([02])\.(weight|bias)", r"\1.layers.\2.\3"),
)

BOX = "representation_model.distance.box"
"""Weights of the box, which comes from the structures."""
UNREAD = "output_model.output_network.1.vec2_proj.weight"
"""The last block's vectors are not read."""

# From keel's names to torchmd-net's, one after the other.
_NEW_NAMES = (
    (r"^attention_layers\.-1\.(distance|combine)\.", r"neighbor_embedding.\1."),
    (r"^neighbor_embedding\.distance\.", "neighbor_embedding.distance_proj."),
    (r"^second_embedding\.", "neighbor_embedding.embedding."),
    (r"^geometry\.basis\.", "distance_expansion."),
    (r"^head\.norm\.", "out_norm."),
    (r"^head\.(hidden|output)\.", r"output_model.output_network.\1."),
    (r"^head\.first\.(hidden|output)\.", r"output_model.output_network.0.update_net.\1."),
    (r"^head\.second\.(hidden|output)\.", r"output_model.output_network.1.update_net.\1."),
    (r"^head\.first\.u", "output_model.output_network.0.vec"),
    (r"^head\.second\.u", "output_model.output_network.1.vec"),
    (r"\.hidden\.", ".layers.0."),
    (r"\.output\.", ".layers.2."),
    (r"\.vec([12])\.", r".vec\1_proj."),
    (r"\.u\.", ".vec_proj."),
    (r"^(attention_layers\.\d+)\.norm\.", r"\1.layernorm."),
    (r"\.(qkv|o|dk|dv)\.", r".\1_proj."),
)


def current_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights under the names of torchmd-net 3, without those that change no energy."""
    state = dict(weights)
    for old, new in _OLD_NAMES:
        state = {re.sub(old, new, name): tensor for name, tensor in state.items()}
    unused = (BOX, UNREAD)
    return {name: tensor for name, tensor in state.items() if name not in unused}


def take(state: dict[str, Tensor], name: str) -> Tensor:
    """Remove a tensor from the weights and return it.

    Raises
    ------
    DataError
        If it is missing.
    """
    if not isinstance(state.get(name), Tensor):
        raise DataError(f"it has no weights {name!r}")
    return state.pop(name)


def translated(state: dict[str, Tensor], embedding: Tensor, potential: TorchMDET) -> dict[str, Tensor]:
    """Return the weights under keel's names and in its order of rows; they are taken out of ``state``."""
    numbers, heads = list(potential.elements or ()), int(potential.config()["heads"])
    ours = {"embedding.weight": embedding[numbers]}
    for name, theirs in _names(potential).items():
        if name == "second_embedding.weight":
            ours[name] = take(state, theirs)[numbers]
        elif ".qkv." in name:
            q, k, v = (take(state, theirs.replace("qkv", letter)) for letter in "qkv")
            ours[name] = torch.cat([q, k, _heads_within_parts(v, heads)])
        elif ".dv." in name:
            ours[name] = _heads_within_parts(take(state, theirs), heads)
        elif name.startswith("head.second.output"):
            ours[name] = take(state, theirs)[:1]
        else:
            ours[name] = take(state, theirs)
    return ours


def translated_back(potential: TorchMDET, rows: int) -> dict[str, Tensor]:
    """Return torchmd-net's weights of keel's network, with embeddings for atomic numbers below ``rows``.

    Embeddings of elements that the network does not know are zero, and so are weights that change no energy.
    """
    numbers, heads = list(potential.elements or ()), int(potential.config()["heads"])
    ours, weights = potential.state_dict(), dict[str, Tensor]()
    names = {"embedding.weight": "representation_model.embedding.weight", **_names(potential)}
    for name, theirs in names.items():
        tensor = ours[name]
        if "embedding.weight" in name:
            tensor = tensor.new_zeros(rows, tensor.shape[1]).index_copy(0, torch.tensor(numbers), tensor)
        elif ".qkv." in name:
            q, k, tensor = tensor.split([len(tensor) // 5, len(tensor) // 5, len(tensor) // 5 * 3])
            weights |= {theirs.replace("qkv", "q"): q, theirs.replace("qkv", "k"): k}
            tensor, theirs = _parts_within_heads(tensor, heads), theirs.replace("qkv", "v")
        elif ".dv." in name:
            tensor = _parts_within_heads(tensor, heads)
        elif name.startswith("head.second.output"):
            tensor = torch.cat([tensor, torch.zeros_like(tensor)])
        weights[theirs] = tensor
    channels = ours["head.second.u1.weight"]
    return {**weights, UNREAD: channels.new_zeros(1, channels.shape[1])}


def _names(potential: TorchMDET) -> dict[str, str]:
    """Return keel's and torchmd-net's name of each weight but the embedding."""
    embedded = "second_embedding.weight" in potential.state_dict()
    names = {}
    for name in potential.state_dict():
        if name in ("embedding.weight", "energy_offsets", "scale"):
            continue
        theirs = re.sub(r"^layers\.(\d+)\.", lambda m: f"attention_layers.{int(m[1]) - embedded}.", name)
        for old, new in _NEW_NAMES:
            theirs = re.sub(old, new, theirs)
        names[name] = theirs if theirs.startswith("output_model") else f"representation_model.{theirs}"
    return names


def _heads_within_parts(rows: Tensor, heads: int) -> Tensor:
    """Return rows in the order (head, part, channel of the head) as (part, head, channel of the head)."""
    return rows.reshape(heads, 3, -1, *rows.shape[1:]).transpose(0, 1).reshape(rows.shape)


def _parts_within_heads(rows: Tensor, heads: int) -> Tensor:
    """Return rows in the order (part, head, channel of the head) as (head, part, channel of the head)."""
    return rows.reshape(3, heads, -1, *rows.shape[1:]).transpose(0, 1).reshape(rows.shape)

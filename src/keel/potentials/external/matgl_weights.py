"""Names and order of the weights of matgl's M3GNet, and keel's."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def network_state(weights: Mapping[str, Tensor], blocks: int, order: list[int]) -> dict[str, Tensor]:
    """Return the state dictionary of keel's M3GNet from that of matgl's.

    ``order`` are matgl's element indices by atomic number: keel sorts its elements.
    """
    state = {
        "embedding.weight": weights["embedding.layer_node_embedding.weight"][order],
        **_linear(weights, "embedding.layer_edge_embedding.layers.0", "edge_embedding"),
        **_gated(weights, "final_layer.gated", "readout"),
    }
    for b in range(blocks):
        theirs, ours = f"three_body_interactions.{b}", f"blocks.{b}.three_body"
        state |= _linear(weights, f"{theirs}.update_network_atom.layers.0", f"{ours}.neighbour")
        state |= _gated(weights, f"{theirs}.update_network_bond", f"{ours}.update")
        theirs, ours = f"graph_layers.{b}.conv", f"blocks.{b}"
        for part in ("edge", "node"):
            state |= _pair(weights, f"{theirs}.{part}_update_func", f"{ours}.{part}_update")
            state |= _linear(weights, f"{theirs}.{part}_weight_func", f"{ours}.{part}_weight")
    return state


def matgl_state(state: Mapping[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """Return the state dictionary of matgl's M3GNet from that of keel's, whose elements are in keel's order."""
    weights = {
        "embedding.layer_node_embedding.weight": state["embedding.weight"],
        **_linear(state, "edge_embedding", "embedding.layer_edge_embedding.layers.0"),
        **_gated_back(state, "readout", "final_layer.gated"),
    }
    for b in range(blocks):
        theirs, ours = f"three_body_interactions.{b}", f"blocks.{b}.three_body"
        weights |= _linear(state, f"{ours}.neighbour", f"{theirs}.update_network_atom.layers.0")
        weights |= _gated_back(state, f"{ours}.update", f"{theirs}.update_network_bond")
        theirs, ours = f"graph_layers.{b}.conv", f"blocks.{b}"
        for part in ("edge", "node"):
            weights |= _pair_back(state, f"{ours}.{part}_update", f"{theirs}.{part}_update_func")
            weights |= _linear(state, f"{ours}.{part}_weight", f"{theirs}.{part}_weight_func")
    return weights


def _linear(weights: Mapping[str, Tensor], source: str, target: str) -> dict[str, Tensor]:
    names = [n for n in ("weight", "bias") if f"{source}.{n}" in weights]
    return {f"{target}.{n}": weights[f"{source}.{n}"] for n in names}


def _gated(weights: Mapping[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    """Gated perceptron: matgl numbers layers and activations together; its first layers are stacked here."""
    names = [n for n in ("weight", "bias") if f"{theirs}.layers.0.{n}" in weights]
    state = {
        f"{ours}.first.{n}": torch.cat([weights[f"{theirs}.layers.0.{n}"], weights[f"{theirs}.gates.0.{n}"]])
        for n in names
    }
    depth = 1
    while f"{theirs}.layers.{2 * depth}.weight" in weights:
        state |= _linear(weights, f"{theirs}.layers.{2 * depth}", f"{ours}.core.{depth - 1}")
        state |= _linear(weights, f"{theirs}.gates.{2 * depth}", f"{ours}.gate.{depth - 1}")
        depth += 1
    return state


def _gated_back(state: Mapping[str, Tensor], ours: str, theirs: str) -> dict[str, Tensor]:
    weights = {}
    for n in ("weight", "bias"):
        if f"{ours}.first.{n}" in state:
            weights[f"{theirs}.layers.0.{n}"], weights[f"{theirs}.gates.0.{n}"] = state[f"{ours}.first.{n}"].chunk(2)
    depth = 1
    while f"{ours}.core.{depth - 1}.weight" in state:
        weights |= _linear(state, f"{ours}.core.{depth - 1}", f"{theirs}.layers.{2 * depth}")
        weights |= _linear(state, f"{ours}.gate.{depth - 1}", f"{theirs}.gates.{2 * depth}")
        depth += 1
    return weights


def _pair(weights: Mapping[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    """Gated perceptron of [v_i, v_j, e_ij]: its first layer is in three parts here."""
    state = _gated(weights, theirs, ours)
    first, bias = state.pop(f"{ours}.first.weight"), state.pop(f"{ours}.first.bias")
    edges = weights[f"{theirs.rpartition('.')[0]}.edge_update_func.layers.4.weight"].shape[0]
    nodes = (first.shape[1] - edges) // 2
    centre, neighbour, edge = first.split([nodes, nodes, edges], dim=1)
    return {
        **state,
        f"{ours}.centre.weight": centre,
        f"{ours}.centre.bias": bias,
        f"{ours}.neighbour.weight": neighbour,
        f"{ours}.edge.weight": edge,
    }


def _pair_back(state: Mapping[str, Tensor], ours: str, theirs: str) -> dict[str, Tensor]:
    parts = [state[f"{ours}.{part}.weight"] for part in ("centre", "neighbour", "edge")]
    first = {f"{ours}.first.weight": torch.cat(parts, dim=1), f"{ours}.first.bias": state[f"{ours}.centre.bias"]}
    return _gated_back({**state, **first}, ours, theirs)

"""The module of mace-torch inside a :class:`~keel.potentials.external.MACE`: how it is built and evaluated."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import torch
from torch import Tensor

from keel.errors import ConfigError
from keel.potentials.external.extras import built_in_float64, optional, quiet

OPTIONS: Mapping[str, Any] = {
    "num_bessel": 8,
    "num_polynomial_cutoff": 5,
    "radial_type": "bessel",
    "radial_MLP": [64, 64, 64],
    "distance_transform": "None",
    "pair_repulsion": False,
    "interaction_cls_first": "RealAgnosticInteractionBlock",
    "interaction_cls": "RealAgnosticResidualInteractionBlock",
    "MLP_irreps": "16x0e",
    "gate": "silu",
    "heads": ["Default"],
    # mace's own default, True, makes the weights depend on which other packages are installed.
    "use_reduced_cg": False,
}
"""Arguments of mace's constructor besides those of ``MACE``, with their defaults."""


def further(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given arguments of mace's constructor that keel does not name, such as ``use_so3``."""
    theirs = inspect.signature(_import("mace.modules").MACE).parameters
    known = {name for name, argument in theirs.items() if argument.default is not argument.empty} - OPTIONS.keys()
    return {name: value for name, value in given.items() if name in known}


def build(
    elements: Sequence[int],
    cutoff: float,
    *,
    channels: int,
    max_l: int,
    layers: int,
    average_neighbours: float,
    heads: Sequence[str],
    **options: Any,
) -> Any:
    """Return a new ``ScaleShiftMACE`` with scale 1, no shift and no atomic energies, in float64.

    Raises
    ------
    ConfigError
        If mace-torch is not installed, or an option does not fit.
    """
    modules, o3 = _import("mace.modules"), _import("e3nn.o3")
    if min(channels, layers, options["correlation"], len(heads)) < 1 or max_l < 0:
        raise ConfigError("MACE: channels, layers and correlation must be at least 1, max_l at least 0")
    with built_in_float64(), quiet():
        model: Any = modules.ScaleShiftMACE(
            r_max=cutoff,
            atomic_numbers=list(elements),
            num_elements=len(elements),
            hidden_irreps=o3.Irreps(_hidden(channels, max_l)),
            num_interactions=layers,
            avg_num_neighbors=average_neighbours,
            heads=list(heads),
            atomic_energies=[[0.0] * len(elements)] * len(heads),
            atomic_inter_scale=[1.0] * len(heads),
            atomic_inter_shift=[0.0] * len(heads),
            **{key: _from_json(key, value) for key, value in options.items()},
        )
    return model


def node_energies(model: Any, species: Tensor, edge_index: Tensor, vectors: Tensor, head: int) -> Tensor:
    """Return mace's energy of each atom in eV, shape (N,), from the edge vectors (E, 3).

    mace computes edge vectors as x_j - x_i + shift. With all atoms at the origin, the edge vectors are the shifts, and
    the energies are differentiable with respect to them. ``species`` (N, elements) is one-hot.
    """
    n = species.shape[0]
    # A new dictionary for each call: mace writes into it.
    batch = {
        "node_attrs": species,
        "positions": vectors.new_zeros(n, 3),
        "shifts": vectors,
        "unit_shifts": torch.zeros_like(vectors),
        "cell": vectors.new_zeros(3, 3),
        "edge_index": edge_index,
        "batch": edge_index.new_zeros(n),
        "ptr": edge_index.new_tensor([0, n]),
        "head": edge_index.new_tensor([head]),
    }
    energies: Tensor = model(batch, compute_force=False)["node_energy"]
    return energies.to(vectors.dtype)


def arguments_of(model: Any) -> dict[str, Any]:
    """Return the arguments, JSON-compatible, by which ``MACE`` has the architecture of a trained model.

    Raises
    ------
    ConfigError
        If it is not a ``ScaleShiftMACE``, or of a kind that has no such arguments.
    """
    if type(model).__name__ != "ScaleShiftMACE":
        raise ConfigError(f"MACE: the model must be a ScaleShiftMACE, not a {type(model).__name__}")
    found: dict[str, Any] = _import("mace.tools.scripts_utils").extract_config_mace_model(copy.deepcopy(model).cpu())
    if found.get("embedding_specs"):
        raise ConfigError(f"MACE: the model needs {', '.join(found['embedding_specs'])} of each structure")
    hidden = found.pop("hidden_irreps")
    channels, max_l = hidden.count("0e"), hidden.lmax
    elements = [int(z) for z in found.pop("atomic_numbers")]
    if str(hidden) != _hidden(channels, max_l) or elements != sorted(elements):
        raise ConfigError(f"MACE: hidden features {hidden} for elements {elements} cannot be taken over")
    for key in ("num_elements", "atomic_energies", "atomic_inter_scale", "atomic_inter_shift"):
        del found[key]
    named = {
        "elements": elements,
        "cutoff": found.pop("r_max"),
        "channels": channels,
        "max_l": max_l,
        "layers": found.pop("num_interactions"),
        "average_neighbours": float(found.pop("avg_num_neighbors")),
        "heads": [str(h) for h in found.pop("heads")],
    }
    found["distance_transform"] = found["distance_transform"] or "None"
    return {**named, **{key: _to_json(key, value) for key, value in found.items() if value is not None}}


@torch.no_grad()
def copy_weights(source: Any, target: Any) -> None:
    """Copy weights into a module of the same architecture, and check that it computes the same energies.

    Raises
    ------
    ConfigError
        If it does not.
    """
    source = copy.deepcopy(source).cpu()
    refusal = "MACE: this model cannot be rebuilt from its options, so it cannot be taken over"
    try:
        keys = target.load_state_dict(_with_heads(source.state_dict()), strict=False)
    except RuntimeError as error:
        raise ConfigError(f"{refusal} ({str(error).splitlines()[-1].strip()})") from None
    weights = {name for module in (source, target) for name, _ in module.named_parameters()}
    odd = weights & {*keys.missing_keys, *keys.unexpected_keys}
    if odd:
        raise ConfigError(f"{refusal} (weights {', '.join(sorted(odd)[:3])})")
    trial = _trial(source)
    for head in range(len(torch.atleast_1d(source.scale_shift.scale))):
        before, after = (node_energies(module, *trial, head) for module in (source, target))
        if not torch.allclose(before, after, rtol=1e-5, atol=1e-5):
            raise ConfigError(f"{refusal} (energies differ by {float((before - after).abs().max()):.2g} eV)")


@torch.no_grad()
def one_head(model: Any, head: int) -> Any:
    """Return a copy on the CPU of a model with only one of its heads, in its precision."""
    model = copy.deepcopy(model).cpu()
    if len(model.heads) == 1:
        return model
    dtype = next(model.parameters()).dtype
    with built_in_float64(), quiet():
        # mace divides by the square root of the number of heads, which float32 would round.
        single = _import("mace.tools.scripts_utils").remove_pt_head(model.double(), model.heads[head])
    return single.to(dtype)


def _with_heads(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state in which even a model of one head has a dimension for heads."""
    shapes = {"scale_shift.scale": (-1,), "scale_shift.shift": (-1,)}
    energies = "atomic_energies_fn.atomic_energies"
    return {**state, **{k: state[k].reshape(s) for k, s in shapes.items()}, energies: torch.atleast_2d(state[energies])}


def _hidden(channels: int, max_l: int) -> str:
    return "+".join(f"{channels}x{order}{'eo'[order % 2]}" for order in range(max_l + 1))


def _trial(model: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return atoms of up to four elements, all neighbours of each other, with edge vectors of some length."""
    n = len(model.atomic_numbers)
    dtype = next(model.parameters()).dtype
    species = torch.eye(n, dtype=dtype)[torch.arange(4) % n]
    edge_index = torch.tensor(list(permutations(range(4), 2))).T
    directions = torch.randn(12, 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
    distances = torch.linspace(0.3, 0.9, 12, dtype=dtype)[:, None] * float(model.r_max)
    return species, edge_index, distances * directions / directions.norm(dim=1, keepdim=True)


def _from_json(key: str, value: Any) -> Any:
    """Return what mace's constructor expects: a class for its name, irreps for their string."""
    names = _names(key)
    if names is not None:
        if value not in names:
            raise ConfigError(f"MACE: {key} must be one of {', '.join(names)}, not {value!r}")
        return names[value]
    return _import("e3nn.o3").Irreps(value) if key.endswith("irreps") and value is not None else value


def _to_json(key: str, value: Any) -> Any:
    names = _names(key)
    if names is not None:
        matching = [name for name, item in names.items() if item is value]
        if not matching:
            raise ConfigError(f"MACE: a model with {key} {value} cannot be taken over")
        return matching[0]
    value = str(value) if key.endswith("irreps") else value
    try:
        return json.loads(json.dumps(value))
    except TypeError:
        raise ConfigError(f"MACE: a model with {key} {value} cannot be taken over") from None


def _names(key: str) -> Mapping[str, Any] | None:
    modules = _import("mace.modules")
    if key.startswith("interaction_cls"):
        return dict(modules.interaction_classes)
    return {"readout_cls": modules.readout_classes, "gate": modules.gate_dict}.get(key)


def _import(module: str) -> Any:
    return optional(module, "MACE", "mace-torch", "mace")

"""M3GNet checkpoints of matgl as keel potentials.

A checkpoint is the folder that matgl's ``save`` writes: ``model.json`` (class and constructor arguments), ``state.pt``
(weights) and ``model.pt`` (arguments again, not read here). Only tensors are unpickled.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from keel.atoms.elements import atomic_number
from keel.errors import DataError, KeelError, KeelWarning, UnavailableError
from keel.potentials.external.matgl import MODELS, MatglPotential
from keel.potentials.external.matgl_weights import network_state
from keel.potentials.networks.m3gnet import M3GNet

MODEL_VERSION = 2
"""Version of matgl's M3GNet class in matgl 4.1.2, whose equations keel follows."""

# Argument of matgl -> the only value that keel supports.
REQUIRED: Mapping[str, Any] = {
    "is_intensive": False,
    "include_state": False,
    "use_phi": False,
    "ntargets": 1,
    "rbf_type": "SphericalBessel",
    "task_type": "regression",
}
# Argument of matgl -> option of keel and matgl's default.
OPTIONS: Mapping[str, tuple[str, Any]] = {
    "cutoff": ("cutoff", 5.0),
    "threebody_cutoff": ("three_body_cutoff", 4.0),
    "dim_node_embedding": ("node_features", 64),
    "dim_edge_embedding": ("edge_features", 64),
    "units": ("units", 64),
    "nblocks": ("blocks", 3),
    "max_n": ("max_n", 3),
    "max_l": ("max_l", 3),
    "use_smooth": ("smooth_basis", False),
    "activation_type": ("activation", "swish"),
}


def from_matgl(path: str | Path) -> M3GNet | MatglPotential:
    """Return the network of a matgl checkpoint: it gives the same energies, forces and stress.

    An M3GNet becomes keel's own, in reference mode; TensorNet and CHGNet a :class:`MatglPotential`, which needs matgl.

    E = data_std * E_network + sum of element references; the standard deviation becomes ``scale`` and the references
    the energy offsets. The mean that matgl may add to each structure, whatever its size, is left out with a warning;
    dropout, which acts in matgl's training only, is not taken over.

    Parameters
    ----------
    path
        Folder with ``model.json`` and ``state.pt``; of an M3GNet alone or in matgl's ``Potential``.

    Raises
    ------
    DataError
        If a file is absent or damaged, the model is not an M3GNet, or it uses what keel does not have: global state,
        azimuthal angles (``use_phi``), an intensive or classifying readout, a ZBL term.
    """
    path = Path(path)
    description, state = _read_description(path), _read_state(path)
    try:
        if _class_of(description) in MODELS and _class_of(description) != "M3GNet":
            return MatglPotential.from_checkpoint(description["kwargs"], state)
        return convert(description, state)
    except UnavailableError:
        raise
    except KeelError as error:
        raise DataError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        message = " ".join(str(error).split())
        raise DataError(f"{path}: the checkpoint is damaged or from another version of matgl ({message})") from None


def convert(description: Mapping[str, Any], state: Mapping[str, Tensor]) -> M3GNet:
    """Return the network of a checkpoint's description (``model.json``) and state (``state.pt``).

    Raises
    ------
    DataError
        If the model is not one that keel has.
    """
    # A compiled model carries its module's name within each key.
    state = {key.replace("_orig_mod.", ""): value for key, value in state.items()}
    wrapped = description["@class"] == "Potential"
    model = _model_of(description)
    arguments = model["init_args"] if wrapped else model["kwargs"]
    _check_model(model, arguments)
    numbers = [atomic_number(e) for e in arguments["element_types"]]
    options = {ours: arguments.get(theirs, default) for theirs, (ours, default) in OPTIONS.items()}
    network = M3GNet(elements=numbers, mode="reference", **options)
    prefix = "model." if wrapped else ""
    weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    network = network.to(weights["embedding.layer_node_embedding.weight"].dtype)
    network.load_state_dict({**network.state_dict(), **network_state(weights, len(network.blocks), order)})
    if wrapped:
        _set_scale_and_offsets(network, description["kwargs"], state, numbers)
    network.trained = True
    return network.eval()


def _model_of(description: Mapping[str, Any]) -> Any:
    return description["kwargs"]["model"] if description["@class"] == "Potential" else description


def _class_of(description: Mapping[str, Any]) -> str:
    return str(_model_of(description)["@class"])


def _check_model(model: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    if model["@class"] != "M3GNet":
        raise DataError(f"the model is a {model['@class']} of matgl; keel takes over {', '.join(MODELS)}")
    if model.get("@model_version", 0) != MODEL_VERSION:
        warnings.warn(
            f"the checkpoint was written by another version of matgl's M3GNet ({model.get('@model_version')}); "
            f"it is read as matgl 4.1.2 reads it, as version {MODEL_VERSION}",
            KeelWarning,
            stacklevel=4,
        )
    defaults = {**REQUIRED, "is_intensive": True}
    for name, supported in REQUIRED.items():
        if arguments.get(name, defaults[name]) != supported:
            value = arguments.get(name, defaults[name])
            raise DataError(f"the model has {name}={value!r}; only {name}={supported!r} can be converted")


def _set_scale_and_offsets(
    network: M3GNet, arguments: Mapping[str, Any], state: Mapping[str, Tensor], numbers: list[int]
) -> None:
    if arguments.get("calc_repuls"):
        raise DataError("the potential has a ZBL term (calc_repuls=True), which cannot be converted")
    mean, std = float(state.get("data_mean", torch.zeros(()))), float(state.get("data_std", torch.ones(())))
    if mean != 0.0:
        warnings.warn(
            f"the potential's mean energy of {mean:g} eV, which matgl adds to each structure whatever its size "
            "(data_mean), is left out; forces and stress do not depend on it",
            KeelWarning,
            stacklevel=4,
        )
    if not (math.isfinite(std) and std > 0):
        raise DataError(f"the standard deviation of the potential (data_std) is {std:g}")
    network.scale.fill_(std)
    references = state.get("element_refs.property_offset")
    if references is not None:
        if references.ndim != 1 or len(references) < len(numbers):
            raise DataError("the element references of the potential are not one energy per element")
        network.set_offsets(dict(zip(numbers, references.double().tolist(), strict=False)))


def _read_description(path: Path) -> dict[str, Any]:
    file = path / "model.json"
    try:
        description = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: this is not the description of a matgl model ({error})") from None
    if not isinstance(description, dict) or not {"@class", "kwargs"} <= description.keys():
        raise DataError(f"{file}: this is not the description of a matgl model")
    return description


def _read_state(path: Path) -> dict[str, Tensor]:
    file = path / "state.pt"
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the damaged bytes lead it to
        raise DataError(f"{file}: its weights cannot be read ({type(error).__name__})") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f"{file}: this contains more than tensors; only plain weights are read")
    return state

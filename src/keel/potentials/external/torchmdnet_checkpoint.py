"""Networks of torchmd-net as keel potentials.

A torchmd-net checkpoint is a pickle. It is read by torch's reader of plain data only, which runs no code of the file.
Elements whose energies in an ``Atomref`` prior are NaN are those that a network does not know.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from keel.atoms.elements import atomic_number, symbol
from keel.errors import DataError, KeelError, KeelWarning, UnavailableError
from keel.potentials.base import MAX_ATOMIC_NUMBER
from keel.potentials.external.extras import optional, quiet
from keel.potentials.external.torchmdnet import TorchMDNetPotential
from keel.potentials.external.torchmdnet_weights import current_names, take, translated
from keel.potentials.networks.torchmd_et import TorchMDET

OPTIONS = {
    "cutoff": "cutoff_upper",
    "channels": "embedding_dimension",
    "layers": "num_layers",
    "heads": "num_heads",
    **{
        name: name
        for name in (
            "num_rbf",
            "rbf_type",
            "trainable_rbf",
            "activation",
            "attn_activation",
            "neighbor_embedding",
            "distance_influence",
            "cutoff_lower",
        )
    },
}
"""Options of :class:`keel.TorchMDET` and their names in torchmd-net."""


def from_torchmdnet(
    path: str | Path, elements: Iterable[int | str] | None = None, *, energy_unit: float = 1.0
) -> TorchMDET | TorchMDNetPotential:
    """Read a checkpoint (``.ckpt``) of torchmd-net.

    Its equivariant transformer becomes keel's own, in reference mode; a TensorNet a :class:`TorchMDNetPotential`, which
    needs torchmd-net. The standard deviation of the training energies becomes ``scale``, and an ``Atomref`` prior the
    energy offsets of the elements. torchmd-net may add the mean of the training energies to each structure, whatever
    its size; for an equivariant transformer it is left out, with a warning.

    Parameters
    ----------
    path
        The checkpoint.
    elements
        Symbols or atomic numbers to keep; None: all of the checkpoint.
    energy_unit
        Its energy unit in eV, which checkpoints do not record: 0.0433641 for kcal/mol, 27.2114 for hartree. Lengths are
        in angstrom.

    Raises
    ------
    DataError
        If the file is absent, is not a checkpoint, or contains more than plain data or another model, or one not for
        energies.
    UnavailableError
        If a TensorNet is to be read and torchmd-net is not installed.
    """
    path = Path(path)
    content = _read(path)
    try:
        arguments, weights = content["hyper_parameters"], content["state_dict"]
        _check(arguments)
        potential: TorchMDET | TorchMDNetPotential
        if arguments["model"] == "tensornet":
            potential = _tensornet(path, arguments, weights, elements, energy_unit)
        else:
            potential = converted(arguments, weights, elements, energy_unit=energy_unit)
    except UnavailableError:
        raise
    except KeyError as error:
        raise DataError(f"{path}: this is not a checkpoint of torchmd-net, it has no {error}") from None
    except KeelError as error:
        raise DataError(f"{path}: {error}") from None
    except (TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
        raise DataError(f"{path}: the settings in it are damaged ({' '.join(str(error).split())})") from None
    potential.trained = True
    return potential.eval()


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = f"an object of {found[1]}" if found else "more than plain data"
        raise DataError(f"{path}: it contains {what}, which may run code; it is not read") from None
    except (RuntimeError, ValueError, EOFError, OSError, AttributeError, LookupError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: this is not a checkpoint, or it is damaged ({error})") from None
    if not (isinstance(content, dict) and isinstance(content.get("state_dict"), dict)):
        raise DataError(f"{path}: this is not a checkpoint of torchmd-net, it has no 'state_dict'")
    return content


def converted(
    arguments: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    elements: Iterable[int | str] | None = None,
    *,
    energy_unit: float = 1.0,
) -> TorchMDET:
    """Return the potential of an equivariant transformer's arguments and weights (its ``state_dict``).

    Raises
    ------
    DataError
        If the weights do not fit the arguments.
    KeyError
        If an argument is missing.
    """
    state = current_names(weights)
    embedding = take(state, "representation_model.embedding.weight")
    numbers = _elements(elements, len(embedding), state)
    options = {name: arguments[theirs] for name, theirs in OPTIONS.items()}
    potential = TorchMDET(
        numbers,
        mode="reference",
        vector_cutoff=bool(arguments.get("vector_cutoff", False)),
        output_model="EquivariantScalar" if any("vec1_proj" in name for name in state) else "Scalar",
        **options,
    ).to(torch.float64 if embedding.dtype == torch.float64 else torch.float32)
    ours = translated(state, embedding, potential)
    offsets = _offsets(arguments, state, numbers)
    mean, std = (float(state.pop(name, torch.tensor(default))) for name, default in (("mean", 0.0), ("std", 1.0)))
    _load(potential, ours, state)
    potential.scale.fill_(std * energy_unit)
    potential.set_offsets({z: energy * energy_unit for z, energy in offsets.items()})
    if mean:
        warnings.warn(
            f"torchmd-net adds {mean * energy_unit:g} eV to the energy of each structure, whatever its size; it is "
            "left out here; forces are unaffected",
            KeelWarning,
            stacklevel=3,
        )
    return potential


def _check(arguments: Mapping[str, Any]) -> None:
    for name, supported in (
        ("model", ("equivariant-transformer", "tensornet")),
        ("output_model", ("Scalar",)),
        ("reduce_op", ("add", "sum")),
        ("atom_filter", (-1, None)),
    ):
        value = arguments[name] if name == "model" else arguments.get(name, supported[0])
        if value not in supported:
            readable = " and ".join(repr(s) for s in supported if isinstance(s, str))
            raise DataError(f"its {name} is {value!r}; only {readable} can be read")


def _elements(elements: Iterable[int | str] | None, rows: int, state: Mapping[str, Tensor]) -> list[int]:
    """Return atomic numbers; the embedding has a row for each number from 0."""
    references = [energies for name, energies in state.items() if name.endswith("atomref.weight")]
    unknown = {z for energies in references for z in energies[:, 0].isnan().nonzero()[:, 0].tolist()}
    if elements is None:
        return [z for z in range(1, min(rows, MAX_ATOMIC_NUMBER + 1)) if z not in unknown]
    numbers = sorted({atomic_number(e) for e in elements})
    if numbers and numbers[-1] >= rows:
        raise DataError(f"it knows atomic numbers up to {rows - 1}, not {numbers[-1]}")
    if missing := [symbol(z) for z in numbers if z in unknown]:
        raise DataError(f"it does not know {', '.join(missing)}")
    return numbers


def _tensornet(
    path: Path,
    arguments: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    elements: Iterable[int | str] | None,
    energy_unit: float,
) -> TorchMDNetPotential:
    """Return torchmd-net's model of a checkpoint that is known to hold plain data only."""
    load = optional("torchmdnet.models.model", "TorchMDNetPotential", "torchmd-net", "torchmd-net").load_model
    with quiet():
        # torchmd-net knows the layouts of its older versions.
        model = load(str(path))
    numbers = _elements(elements, int(arguments["max_z"]), current_names(weights))
    potential = TorchMDNetPotential.from_model(model, arguments, numbers)
    potential.scale.mul_(energy_unit)
    potential.energy_offsets.mul_(energy_unit)
    return potential


def _offsets(arguments: Mapping[str, Any], state: dict[str, Tensor], numbers: list[int]) -> dict[int, float]:
    """Return the energies that ``Atomref`` priors add to each atom."""
    offsets = dict.fromkeys(numbers, 0.0)
    for index, (name, settings) in enumerate(_priors(arguments)):
        if name not in ("Atomref", "LearnableAtomref"):
            raise DataError(f"its prior model {name!r} cannot be read, only 'Atomref'")
        state.pop(f"prior_model.{index}.initial_atomref", None)
        energies = take(state, f"prior_model.{index}.atomref.weight")[:, 0]
        for z in numbers:
            if settings.get("enable", True) and z < len(energies):
                offsets[z] += float(energies[z])
    return offsets


def _priors(arguments: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return name and settings of each prior, from the three ways in which torchmd-net writes them."""
    models = arguments.get("prior_model") or []
    priors: list[tuple[str, Mapping[str, Any]]] = []
    for model in models if isinstance(models, list) else [models]:
        priors += [(name, s or {}) for name, s in model.items()] if isinstance(model, dict) else [(str(model), {})]
    given = arguments.get("prior_args")
    if given is None:
        return priors
    settings = given if isinstance(given, list) else [given]
    return [(name, s or {}) for (name, _), s in zip(priors, settings, strict=False)]


def _load(potential: TorchMDET, ours: Mapping[str, Tensor], left: Mapping[str, Tensor]) -> None:
    if left:
        raise DataError(f"it contains weights that an equivariant transformer does not have: {', '.join(sorted(left))}")
    try:
        potential.load_state_dict({**potential.state_dict(), **ours})
    except RuntimeError as error:
        raise DataError(f"its weights do not fit its arguments ({' '.join(str(error).split())})") from None

"""Networks as models of the packages that they come from: the same energies and forces, in their precision.

For mace-torch see :meth:`keel.potentials.external.MACE.to_model`.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from keel.atoms.elements import symbol
from keel.errors import ConfigError
from keel.potentials.external.extras import built_in_float64, optional, quiet
from keel.potentials.external.matgl import MatglPotential, wrapped
from keel.potentials.external.matgl_checkpoint import OPTIONS as MATGL_OPTIONS
from keel.potentials.external.matgl_checkpoint import REQUIRED
from keel.potentials.external.matgl_weights import matgl_state
from keel.potentials.external.torchmdnet import FIXED, TorchMDNetPotential
from keel.potentials.external.torchmdnet_checkpoint import OPTIONS as TORCHMDNET_OPTIONS
from keel.potentials.external.torchmdnet_weights import BOX, translated_back
from keel.potentials.networks.m3gnet import M3GNet
from keel.potentials.networks.torchmd_et import TorchMDET

CROWDED = 0.25
"""Atoms per cubic angstrom up to which torchmd-net's own search has room for the neighbours; copper has 0.085."""


def to_matgl(network: M3GNet | MatglPotential) -> Any:
    """Return a network as a ``matgl.apps.pes.Potential`` in its precision, with the same energies and forces.

    Raises
    ------
    UnavailableError
        If matgl is not installed.
    ConfigError
        If an M3GNet has a setting that matgl's does not have.
    """
    if isinstance(network, MatglPotential):
        return network.to_model()
    if network.mode == "smooth" and not network.smooth_basis:
        raise ConfigError(
            "this M3GNet has mode='smooth', a switch at the cutoff that matgl's does not have; matgl has networks of "
            "mode='reference' and of smooth_basis=True"
        )
    config = network.config()
    arguments = {theirs: config[ours] for theirs, (ours, _) in MATGL_OPTIONS.items()}
    models = optional("matgl.models", "keel export", "matgl", "matgl")
    with built_in_float64(), quiet():
        core = models.M3GNet(element_types=tuple(map(symbol, network.elements or ())), **REQUIRED, **arguments)
    core.to(network.dtype)
    core.load_state_dict({**core.state_dict(), **matgl_state(network.state_dict(), len(network.blocks))})
    return wrapped(core, network)


def to_torchmdnet(network: TorchMDET | TorchMDNetPotential, *, energy_unit: float = 1.0) -> dict[str, Any]:
    """Return a network as a checkpoint that torchmd-net's ``load_model`` reads, in its precision; lengths in angstrom.

    torchmd-net does not store which elements a network knows. The energy of all others in the ``Atomref`` prior is NaN,
    and so is that of any structure that contains one; ``from_torchmdnet`` recognises them by it.

    Parameters
    ----------
    network
        The network.
    energy_unit
        Unit of energy in the checkpoint in eV.

    Raises
    ------
    ConfigError
        If a TorchMDET has a setting that torchmd-net's does not have.
    """
    if isinstance(network, TorchMDNetPotential):
        arguments = {**network.architecture, "cutoff_upper": network.cutoff}
        weights = {k: v for k, v in network.model.state_dict().items() if k not in ("mean", "std")}
    else:
        arguments = _arguments(network)
        weights = translated_back(network, arguments["max_z"])
    rows, known = int(arguments["max_z"]), list(network.elements or ())
    energies = torch.full((rows, 1), torch.nan, dtype=torch.float64)
    energies[known, 0] = network.energy_offsets.cpu()[known] / energy_unit
    atomref = energies.to(network.dtype)
    weights |= {"mean": network.scale.new_zeros(()), "std": network.scale / energy_unit, BOX: atomref.new_zeros(3, 3)}
    weights |= {"prior_model.0.atomref.weight": atomref, "prior_model.0.initial_atomref": atomref.clone()}
    return {
        "hyper_parameters": {
            **FIXED,
            **arguments,
            "derivative": True,
            "precision": 64 if network.dtype == torch.float64 else 32,
            "prior_model": "Atomref",
            "prior_args": {"max_z": rows},
            "remove_ref_energy": False,
            "max_num_neighbors": math.ceil(CROWDED * 4 / 3 * math.pi * network.cutoff**3),
        },
        "state_dict": {f"model.{name}": tensor.detach().cpu().clone() for name, tensor in weights.items()},
    }


def _arguments(network: TorchMDET) -> dict[str, Any]:
    """Return torchmd-net's arguments of keel's network."""
    config = network.config()
    for name, there in (("mode", "reference"), ("output_model", "EquivariantScalar")):
        if config[name] != there:
            raise ConfigError(
                f"this TorchMDET has {name}={config[name]!r}, which torchmd-net's equivariant transformer does not "
                f"have; that is {name}={there!r}"
            )
    return {
        "model": "equivariant-transformer",
        **{theirs: config[name] for name, theirs in TORCHMDNET_OPTIONS.items()},
        "vector_cutoff": config["vector_cutoff"],
        "output_model": "Scalar",
        "max_z": max(network.elements or ()) + 1,
    }

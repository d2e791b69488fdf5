"""Tiny models of other packages, with what keel has in places of its own: scale, shift, energies of atoms."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk

from keel.potentials.external.extras import quiet

ENERGIES = (-431.6, -1029.3)
"""Of atoms of O and Si in eV."""
MATGL_OPTIONS: dict[str, dict[str, Any]] = {
    "TensorNet": {"units": 8, "nblocks": 1, "num_rbf": 6, "use_warp": False},
    "M3GNet": {"units": 8, "nblocks": 1},
    "CHGNet": {"threebody_cutoff": 3.0},
}
TORCHMDNET: dict[str, Any] = {
    "num_layers": 2,
    "rbf_type": "expnorm",
    "trainable_rbf": False,
    "activation": "silu",
    "attn_activation": "silu",
    "distance_influence": "both",
    "neighbor_embedding": True,
    "vector_cutoff": True,
    "cutoff_lower": 0.0,
    "cutoff_upper": 4.0,
    "max_z": 20,
    "max_num_neighbors": 300,
    "equivariance_invariance_group": "O(3)",
    "derivative": True,
    "atom_filter": -1,
    "prior_model": None,
    "output_model": "Scalar",
    "reduce_op": "add",
    "embedding_dimension": 16,
    "num_rbf": 8,
    "num_heads": 2,
}


def silica(n: int = 1) -> Atoms:
    """Return a rattled crystal with cells of 4.2 angstrom."""
    atoms = bulk("SiO", "rocksalt", a=4.2, cubic=True).repeat(n)
    atoms.rattle(0.15, seed=0)
    return atoms


def mace_model(dtype: torch.dtype, **changes: Any) -> Any:
    """Return a ``ScaleShiftMACE``."""
    from mace import modules

    # e3nn alone cannot be imported: mace lets it read its constants.
    irreps = modules.blocks.o3.Irreps
    n = len(changes.get("heads", ["Default"]))
    arguments = {
        "atomic_inter_scale": [0.8, 1.3][:n] if n > 1 else 0.8,
        "atomic_inter_shift": [0.1, -0.2][:n] if n > 1 else 0.1,
        "atomic_energies": np.array([ENERGIES, [-430.0, -1000.0]][:n]),
        "r_max": 4.0,
        "num_bessel": 6,
        "num_polynomial_cutoff": 5,
        "max_ell": 2,
        "interaction_cls": modules.interaction_classes["RealAgnosticDensityResidualInteractionBlock"],
        "interaction_cls_first": modules.interaction_classes["RealAgnosticDensityInteractionBlock"],
        "num_interactions": 2,
        "num_elements": 2,
        "atomic_numbers": [8, 14],
        "hidden_irreps": irreps("8x0e+8x1o"),
        "MLP_irreps": irreps("8x0e"),
        "avg_num_neighbors": 24.5,
        "correlation": 2,
        "gate": torch.nn.functional.silu,
        "radial_MLP": [16],
        "use_reduced_cg": False,
        "pair_repulsion": True,
        "distance_transform": "Agnesi",
    }
    torch.manual_seed(1)
    torch.set_default_dtype(dtype)
    try:
        with quiet():
            return modules.ScaleShiftMACE(**{**arguments, **changes})
    finally:
        torch.set_default_dtype(torch.float32)


def matgl_potential(model: str, dtype: torch.dtype = torch.float32) -> Any:
    """Return a ``Potential`` of matgl."""
    from matgl import models
    from matgl.apps.pes import Potential

    torch.manual_seed(0)
    extensive = {} if model == "CHGNet" else {"is_intensive": False}
    core = getattr(models, model)(element_types=("O", "Si"), cutoff=4.0, **extensive, **MATGL_OPTIONS[model])
    return Potential(core, data_std=2.5, element_refs=list(ENERGIES)).to(dtype)


def torchmdnet_model(model: str, dtype: torch.dtype) -> tuple[Any, dict[str, Any]]:
    """Return a ``TorchMD_Net`` and its hyper-parameters."""
    from torchmdnet.models.model import create_model
    from torchmdnet.priors import Atomref

    hyper_parameters = {**TORCHMDNET, "model": model, "precision": 64 if dtype == torch.float64 else 32}
    torch.manual_seed(0)
    theirs = create_model(dict(hyper_parameters), prior_model=[Atomref(20)], std=torch.tensor(2.0))
    theirs.prior_model[0].atomref.weight.data[:] = -30.0 * torch.arange(20)[:, None]
    return theirs, hyper_parameters

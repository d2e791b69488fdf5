"""Write torchmd_et.npz: tiny equivariant transformers of torchmd-net, and what they say of two structures.

Needs torchmd-net (make oracles):  python tests/reference/make_torchmd_et.py
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchmdnet.models.model import create_model
from torchmdnet.models.output_modules import Scalar

CUTOFF = 3.0
ARGUMENTS: dict[str, Any] = {
    "model": "equivariant-transformer",
    "output_model": "Scalar",
    "reduce_op": "add",
    "prior_model": None,
    "atom_filter": -1,
    "derivative": True,
    "precision": 64,
    "embedding_dimension": 8,
    "num_layers": 2,
    "num_heads": 2,
    "num_rbf": 6,
    "rbf_type": "expnorm",
    "trainable_rbf": False,
    "activation": "silu",
    "attn_activation": "silu",
    "neighbor_embedding": True,
    "distance_influence": "both",
    "vector_cutoff": False,
    "cutoff_lower": 0.0,
    "cutoff_upper": CUTOFF,
    "max_z": 16,
    "max_num_neighbors": 200,
}
CASES: dict[str, dict[str, Any]] = {
    "published": {},
    "smooth": {"vector_cutoff": True, "num_layers": 3, "num_heads": 4},
    "gauss": {"rbf_type": "gauss", "trainable_rbf": True, "activation": "ssp", "distance_influence": "values"},
    "keys": {"distance_influence": "keys", "attn_activation": "tanh", "neighbor_embedding": False},
    "lower": {"cutoff_lower": 1.3, "activation": "mish", "num_layers": 1},
    "scalar": {"output_model": "Scalar", "activation": "tanh"},
}
SCALAR_HEAD = ("scalar",)


def peer(name: str, dtype: torch.dtype = torch.float64, seed: int = 0, **changes: Any) -> tuple[dict[str, Any], Any]:
    """Return arguments and network of a case; ``scalar`` has the output network that torchmd-net gives others."""
    arguments = {**ARGUMENTS, **CASES[name], **changes, "precision": 64 if dtype == torch.float64 else 32}
    torch.manual_seed(seed)
    network = create_model(dict(arguments))
    if name in SCALAR_HEAD:
        network.output_model = Scalar(arguments["embedding_dimension"], arguments["activation"], dtype=dtype)
    return arguments, network


def structures() -> list[dict[str, np.ndarray]]:
    """Return a crystal whose cell is large enough for torchmd-net's neighbour search, and a molecule."""
    rng = np.random.default_rng(0)
    cell = np.array([[6.6, 0.0, 0.0], [0.7, 6.4, 0.0], [-0.5, 0.9, 6.5]])
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    positions = (grid + rng.uniform(-0.15, 0.15, (27, 3))) / 3 @ cell
    numbers = rng.choice([8, 14], 27)
    molecule = {"numbers": numbers[:8], "positions": positions[:8] * 0.7, "cell": np.zeros((3, 3))}
    return [{"numbers": numbers, "positions": positions, "cell": cell}, molecule]


def predict(network: Any, structure: dict[str, np.ndarray]) -> tuple[float, np.ndarray]:
    """Return the energy and forces that torchmd-net gives."""
    dtype = next(network.parameters()).dtype
    box = torch.tensor(structure["cell"], dtype=dtype) if structure["cell"].any() else None
    energy, forces = network(
        torch.tensor(structure["numbers"]), torch.tensor(structure["positions"], dtype=dtype), None, box=box
    )
    return float(energy), forces.detach().numpy()


def main() -> None:
    """Write the file."""
    arrays: dict[str, np.ndarray] = {}
    for n, structure in enumerate(structures()):
        arrays |= {f"structure/{n}/{key}": value for key, value in structure.items()}
    for name in CASES:
        arguments, network = peer(name)
        # Stored in float32, and exactly so.
        network.load_state_dict({k: v.float().double() for k, v in network.state_dict().items()})
        state = network.state_dict()
        shapes = {key: tuple(value.shape) for key, value in state.items()}
        arrays[f"{name}/arguments"] = np.array(json.dumps({"arguments": arguments, "shapes": shapes}))
        arrays[f"{name}/weights"] = torch.cat([value.reshape(-1) for value in state.values()]).float().numpy()
        for n, structure in enumerate(structures()):
            energy, forces = predict(network, structure)
            arrays |= {f"{name}/energy/{n}": np.array(energy), f"{name}/forces/{n}": forces}
    np.savez_compressed(Path(__file__).with_name("torchmd_et.npz"), **arrays)


if __name__ == "__main__":
    main()

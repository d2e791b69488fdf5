"""The stored networks of torchmd-net, their structures, energies and forces."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from keel.atoms.frame import Frame

PATH = Path(__file__).with_name("reference") / "torchmd_et.npz"
CASES = ("published", "smooth", "gauss", "keys", "lower", "scalar")


class Stored(NamedTuple):
    """Arguments and weights of a network in float64, structures, and energy and forces of each."""

    arguments: dict[str, Any]
    weights: dict[str, Tensor]
    frames: list[Frame]
    energies: list[float]
    forces: list[Tensor]


def stored(name: str) -> Stored:
    """Return a stored network."""
    with np.load(PATH) as arrays:
        header = json.loads(str(arrays[f"{name}/arguments"]))
        values = torch.from_numpy(arrays[f"{name}/weights"]).double()
        sizes = [int(np.prod(shape)) for shape in header["shapes"].values()]
        parts = zip(header["shapes"].items(), values.split(sizes), strict=True)
        return Stored(
            header["arguments"],
            {key: part.reshape(shape) for (key, shape), part in parts},
            [frame({k: arrays[f"structure/{n}/{k}"] for k in ("numbers", "positions", "cell")}) for n in (0, 1)],
            [float(arrays[f"{name}/energy/{n}"]) for n in (0, 1)],
            [torch.from_numpy(arrays[f"{name}/forces/{n}"]) for n in (0, 1)],
        )


def frame(structure: dict[str, np.ndarray]) -> Frame:
    """Return a structure as a frame; it is periodic if it has a cell."""
    return Frame(**structure, pbc=np.full(3, bool(structure["cell"].any())))

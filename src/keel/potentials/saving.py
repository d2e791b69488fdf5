"""Writing potential files: safetensors with the architecture as JSON, or plain JSON for closed-form potentials.

The format carries a version number; :mod:`keel.potentials.loading` reads it, and older ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save_file
from torch import Tensor

from keel.errors import DataError
from keel.files import replace_file
from keel.formats import Format
from keel.kinds import KEEL_SUFFIXES
from keel.records import write_json

FORMAT = Format("potential", key="keel_format")


class Saved(Protocol):
    """What a potential must offer to be saved; every :class:`~keel.Potential` does."""

    closed_form: bool
    trained_by: str

    def config(self) -> dict[str, Any]:
        """Return the arguments that rebuild it."""

    def offsets(self) -> Tensor:
        """Return the energy of each element alone."""

    def modules_needed(self) -> Mapping[str, str]:
        """Return the module of each class in it that is not keel's own."""

    def precisions(self) -> Mapping[str, torch.dtype]:
        """Return its dtype and that of each potential in it."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """Return its weights by their names."""


def description(potential: Saved) -> dict[str, Any]:
    """Return a JSON-compatible description that rebuilds the potential's architecture in its precision."""
    found = {place: str(dtype).removeprefix("torch.") for place, dtype in potential.precisions().items()}
    needed = dict(sorted(potential.modules_needed().items()))
    return {
        **FORMAT.stamp,
        "potential": type(potential).__name__,
        **({"modules": needed} if needed else {}),
        "precision": found if len(set(found.values())) > 1 else found[""],
        "config": potential.config(),
        **({"trained_by": potential.trained_by} if potential.trained_by else {}),
    }


def save(potential: Saved, path: str | Path) -> None:
    """Write a potential; the suffix decides the format.

    ``.safetensors`` is for any potential, ``.json`` for a closed-form potential, whose configuration is complete, with
    its per-element energy offsets: readable and editable.

    Raises
    ------
    DataError
        If the suffix is different, or a network is to be written as JSON.
    """
    path = Path(path)
    check_suffix(path)
    if path.suffix == ".safetensors":
        metadata = {"keel": json.dumps(description(potential))}
        tensors = {k: v.detach().cpu().contiguous() for k, v in potential.state_dict().items()}
        replace_file(path, lambda temporary: save_file(tensors, temporary, metadata=metadata))
    else:
        if not potential.closed_form:
            raise DataError(f"{path}: a {type(potential).__name__} has weights; save it with the suffix .safetensors")
        # All offsets together: those of the members of a sum are not part of its configuration.
        offsets = {z: e for z, e in enumerate(potential.offsets().tolist()) if e != 0}
        write_json(path, {**description(potential), "energy_offsets": offsets})


def check_suffix(path: Path) -> None:
    """Raise a DataError if no potential can be written to a file of this name."""
    if path.suffix not in KEEL_SUFFIXES:
        raise DataError(f"{path}: save a potential with the suffix {' or '.join(KEEL_SUFFIXES)}")

"""Any potential by its name: a file of keel, a checkpoint of another package, an ASE calculator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from keel.errors import ConfigError, DataError
from keel.potentials.base import Potential
from keel.potentials.loading import load

PICKLED = (".model", ".pt", ".pth")
"""Suffixes of files that run code when they are read."""


def open_potential(name: str, arguments: Mapping[str, Any] | None = None, *, trusted: bool = False) -> Potential:
    """Return a potential.

    Parameters
    ----------
    name
        A file of keel (``.safetensors``, ``.json``), the folder of an M3GNet of matgl, a MACE model (``.model``), or
        the import path of an ASE calculator, such as ``ase.calculators.emt.EMT``, or of a function that returns one.
    arguments
        Of the calculator.
    trusted
        Read a file that runs code when it is read, as those of mace-torch do.

    Raises
    ------
    ConfigError
        If there is no such file or calculator, or a file runs code and is not trusted.
    DataError
        If the file is damaged.
    UnavailableError
        If it needs a package that is not installed.
    """
    path = Path(name)
    is_path = path.exists() or "/" in name or path.suffix in (".safetensors", ".json", ".ckpt", *PICKLED)
    if not is_path and "." in name:
        from keel.potentials.external import ASEPotential

        return ASEPotential(name, arguments)
    if arguments:
        raise ConfigError(f"{name}: arguments are those of a calculator, and this is none")
    if path.is_dir():
        from keel.potentials.external.matgl_checkpoint import from_matgl

        return from_matgl(path)
    if path.is_file() and path.suffix in PICKLED:
        return _pickled(path, trusted)
    if path.suffix == ".ckpt":
        raise ConfigError(f"{name}: turn a checkpoint of torchmd-net into a file of keel first, with keel import")
    return load(path)


def _pickled(path: Path, trusted: bool) -> Potential:
    if not trusted:
        raise ConfigError(f"{path}: reading this file runs the code in it; say --trust if you trust where it came from")
    from keel.potentials.external import MACE
    from keel.potentials.external.extras import optional, quiet, trusting

    # Classes that are first imported while a file is read could not read their own constants.
    optional("mace.modules", f"{path}", "mace-torch", "mace")
    try:
        with quiet(), trusting():
            model = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: this is not a model that can be read ({reason})") from None
    return MACE.from_model(model)

"""Reading keel's own files of potentials, which never run code; :mod:`keel.potentials.saving` writes them.

Files of other packages are opened by :func:`keel.open_potential`.
"""

from __future__ import annotations

import json
import math
from os import PathLike
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from keel.atoms.elements import atomic_number
from keel.errors import ConfigError, DataError, UnavailableError
from keel.plugins import HOW, discover
from keel.potentials.base import Potential
from keel.potentials.convert import cast, floating
from keel.potentials.saving import FORMAT


def build(name: str, config: dict[str, Any]) -> Potential:
    """Return a new potential of the class ``name`` from its configuration.

    Raises
    ------
    DataError
        If there is no such class, or the configuration does not fit it.
    UnavailableError
        If it needs a package that is not installed.
    """
    if not isinstance(name, str):
        raise DataError(f"the potential class {name!r} is unknown")
    if name not in Potential.registry:
        discover()
    cls = Potential.registry.get(name)
    if cls is None:
        raise DataError(
            f"the potential class {name!r} is unknown; name the module that defines it: {HOW.format('MODULE')}"
        )
    try:
        return cls.from_config(config)
    except UnavailableError:
        raise
    except (TypeError, LookupError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise DataError(f"the configuration of the {name} is damaged ({' '.join(str(error).split())})") from None


def load(path: str | Path) -> Potential:
    """Read a potential that :meth:`Potential.save` wrote.

    Parameters
    ----------
    path
        A file of keel, ``.safetensors`` or ``.json``.

    Raises
    ------
    DataError
        If the file is absent, damaged, not a potential, or from a newer version of keel.
    """
    if not isinstance(path, str | PathLike):
        raise DataError(f"a file of a potential is named by a text or a path, not {path!r}")
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: " + ("this is a folder, not a file" if path.is_dir() else "there is no such file"))
    potential = _load_json(path) if path.suffix == ".json" else _load_safetensors(path)
    potential.trained, potential.source = True, str(path)
    return potential.eval()


def _load_json(path: Path) -> Potential:
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError, OSError) as error:
        raise DataError(f"{path}: this is not a keel potential ({error})") from None
    potential = _build_described(path, content)
    try:
        offsets = {atomic_number(int(z)): float(e) for z, e in content.get("energy_offsets", {}).items()}
        if not all(map(math.isfinite, offsets.values())):
            raise ValueError("one is not a finite number")
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: its energy offsets are damaged ({error})") from None
    potential.set_offsets(offsets)
    return potential


def _load_safetensors(path: Path) -> Potential:
    try:
        with safe_open(path, framework="pt") as file:
            content = json.loads((file.metadata() or {}).get("keel", "null"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, ValueError, OSError) as error:
        raise DataError(f"{path}: this is not a keel potential, or it is damaged ({error})") from None
    potential = _build_described(path, content)
    if "precision" not in content:
        # In the first release the weights decided it.
        dtypes = {t.dtype for k, t in tensors.items() if t.is_floating_point() and not k.endswith("energy_offsets")}
        if len(dtypes) == 1:
            potential = potential.to(dtypes.pop())
    try:
        potential.load_state_dict(tensors)
    except RuntimeError as error:
        raise DataError(f"{path}: its weights do not fit its configuration ({' '.join(str(error).split())})") from None
    if broken := [key for key, tensor in tensors.items() if tensor.is_floating_point() and tensor.isnan().any()]:
        raise DataError(
            f"{path}: its weights are NaN (not a number) in {len(broken)} of {len(tensors)} arrays, the first "
            f"{broken[0]}; it is damaged, or its training diverged"
        )
    return potential


def _build_described(path: Path, content: Any) -> Potential:
    if not isinstance(content, dict) or not {FORMAT.key, "potential", "config"} <= content.keys():
        raise DataError(f"{path}: this is not a keel potential")
    content = FORMAT.upgraded(content, path)
    _check_modules(path, content.get("modules", {}))
    try:
        potential = build(content["potential"], content["config"])
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    potential.trained_by = str(content.get("trained_by", ""))
    try:
        return _cast(potential, content.get("precision", {}))
    except (ConfigError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: its precision is damaged ({error})") from None


def _check_modules(path: Path, modules: Any) -> None:
    """Raise a DataError if a class of another package is not known, which is never imported because of a file."""
    if not isinstance(modules, dict) or not all(isinstance(m, str) for m in modules.values()):
        raise DataError(f"{path}: its modules are damaged")
    if missing := [name for name in modules if name not in Potential.registry]:
        discover()
        missing = [name for name in missing if name not in Potential.registry]
    if not missing:
        return
    name, module = missing[0], modules[missing[0]]
    if not all(part.isidentifier() for part in module.split(".")):
        raise DataError(f"{path}: its modules are damaged")
    if module == "__main__":
        raise DataError(f"{path}: its class {name} was defined in a script or notebook; define it before loading")
    raise DataError(
        f"{path}: its class {name} is of the module {module}, which a file cannot cause to be imported; if you trust "
        f"it, name it: {HOW.format(module)}, or import {module} in Python"
    )


def _cast(potential: Potential, precision: Any) -> Potential:
    """Cast a potential as a description says: to one precision, or to one for each potential in it by its place."""
    if isinstance(precision, str):
        return potential.to(floating(precision))
    cast(potential, {place: floating(name) for place, name in precision.items()})
    return potential

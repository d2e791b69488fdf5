"""Modules that are imported when they are first named: ``import keel; keel.evaluation.battery``."""

from __future__ import annotations

import gc
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

OWN = {"annotations", "find_submodules"}
"""Names in a package that are not public."""


def submodule(package: str, name: str) -> ModuleType:
    """Import a module of a package, for an attribute that the package lacks.

    Raises
    ------
    AttributeError
        If there is no such module.
    """
    path = f"{package}.{name}"
    if name.startswith("_") or find_spec(path) is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return import_module(path)


def submodules(package: str) -> list[str]:
    """Return the names of the modules of a package."""
    from pkgutil import iter_modules

    return [module.name for module in iter_modules(sys.modules[package].__path__) if not module.name.startswith("_")]


def find_submodules(package: str) -> None:
    """Make the modules of a package available as its attributes; call it at the end of its ``__init__.py``.

    A function rather than a ``__getattr__`` in the package, because mypy would then allow every attribute.
    """
    names = vars(sys.modules[package])
    names["__getattr__"] = lambda name: submodule(package, name)
    names["__dir__"] = lambda: sorted({*_public(names), *submodules(package)})


def _public(names: Mapping[str, Any]) -> Collection[str]:
    """Return what a package offers: its ``__all__``, else all that it has imported from keel."""
    said: Collection[str] | None = names.get("__all__")
    return said or [name for name in names if not name.startswith("_") and name not in OWN]


@contextmanager
def imported_for_good(module: str) -> Iterator[None]:
    """Skip garbage collection while a large module is imported within the block, and exclude it later.

    It takes a quarter of the time of importing PyTorch. If the module is already imported, this does nothing.
    """
    if module in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

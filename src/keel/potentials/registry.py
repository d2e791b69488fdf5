"""Every class of potentials by its name: the name used in files, configurations and commands."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import isabstract
from typing import Any

from keel.plugins import register


def enter(cls: type, classes: dict[str, Any]) -> None:
    """Register a class under its name, by which files identify it.

    Raises
    ------
    ConfigError
        If another class has this name: a file of one would be read as the other.
    """
    register("potential", cls.__name__, cls, classes)


def concrete(classes: Mapping[str, type], kind: type) -> dict[str, Any]:
    """Return the classes of one kind that can be built, by their names in alphabetical order."""
    return {name: cls for name, cls in sorted(classes.items()) if issubclass(cls, kind) and not isabstract(cls)}

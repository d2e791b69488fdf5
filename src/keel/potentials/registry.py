"""Every class of potentials by its name: that is how files, configurations and commands call it."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import isabstract
from typing import Any

from keel.errors import ConfigError


def enter(cls: type, classes: dict[str, Any]) -> None:
    """Put a class among the others, under its name.

    The same class may be defined again, as it is by a cell of a notebook that is run twice.

    Raises
    ------
    ConfigError
        If another class has this name: a file of one would be read as the other.
    """
    other = classes.get(cls.__name__, cls)
    if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ConfigError(
            f"there is a potential {cls.__name__} already, in {other.__module__}, and files tell potentials by this "
            f"name; give the class in {cls.__module__} another one"
        )
    classes[cls.__name__] = cls


def concrete(classes: Mapping[str, type], kind: type) -> dict[str, Any]:
    """Return the classes of one kind that can be built, by their names in alphabetical order."""
    return {name: cls for name, cls in sorted(classes.items()) if issubclass(cls, kind) and not isabstract(cls)}

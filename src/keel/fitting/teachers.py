"""Teachers of plugins: functions that fit a potential to labelled frames, by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from keel.atoms.frame import Frame
from keel.errors import ConfigError
from keel.plugins import HOW, discover, register
from keel.potentials.base import Potential

EAM = "eam"
"""The name of keel's own teacher, :func:`keel.fit_eam`."""
TEACHERS: dict[str, Callable[..., Potential]] = {}

Fit = TypeVar("Fit", bound=Callable[..., Potential])


def register_teacher(name: str) -> Callable[[Fit], Fit]:
    """Register a function that fits teachers, ``@keel.register_teacher("pairs")``: ``teacher: {fit: pairs}`` in YAML.

    It takes the training frames (``Sequence[keel.Frame]``) and, by keyword, ``arguments``, and returns a
    :class:`keel.Potential`.

    Raises
    ------
    ConfigError
        If another teacher has this name.
    """

    def registered(fit: Fit) -> Fit:
        if name == EAM:
            raise ConfigError(f"there is already a teacher {EAM}; give the one in {fit.__module__} another name")
        register("teacher", name, fit, TEACHERS)
        return fit

    return registered


def fitted(name: str, frames: Sequence[Frame], arguments: Mapping[str, Any] | None = None) -> Potential:
    """Return the teacher of a name, fitted to frames.

    Raises
    ------
    ConfigError
        If there is none with that name, it does not accept the arguments, or does not return a potential.
    """
    fit = teacher_of(name)
    try:
        teacher = fit(frames, **(arguments or {}))
    except TypeError as error:
        raise ConfigError(f"the teacher {name} cannot be fitted with {dict(arguments or {})} ({error})") from error
    if not isinstance(teacher, Potential):
        raise ConfigError(f"the teacher {name} returns {type(teacher).__name__} instead of a keel.Potential")
    return teacher.eval()


def is_teacher(name: str) -> bool:
    """Whether a plugin has a teacher of this name."""
    if name not in TEACHERS:
        discover()
    return name in TEACHERS


def teacher_of(name: str) -> Callable[..., Potential]:
    """Return the function that fits the teacher of a name; a ConfigError if there is none."""
    if not is_teacher(name):
        raise ConfigError(
            f"there is no teacher {name!r}; choose from {', '.join([EAM, *TEACHERS])}, or name the module that "
            f"registers it: {HOW.format('MODULE')}"
        )
    return TEACHERS[name]

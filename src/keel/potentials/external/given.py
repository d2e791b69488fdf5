"""Potentials in Python arguments: objects that are one, or have or name one."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from keel.errors import DataError
from keel.kinds import POTENTIALS
from keel.potentials.base import Potential
from keel.potentials.external.opening import open_potential
from keel.wording import a

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator


class HasPotential(Protocol):
    """What a fit or a training returns, and a calculator of keel."""

    @property
    def potential(self) -> Potential:
        """The potential."""


Given: TypeAlias = "Potential | str | Path | HasPotential | Calculator"
"""What :func:`as_potential` takes."""


def as_potential(given: Given) -> Potential:
    """Return the potential that an object is, has or names.

    Parameters
    ----------
    given
        A potential, the result of a fit or of a training, a name that :func:`keel.open_potential` opens, or an ASE
        calculator.

    Raises
    ------
    ConfigError, DataError
        If it is something else, or names nothing that can be opened.

    Examples
    --------
    >>> from ase.calculators.emt import EMT
    >>> from keel.potentials.external import as_potential
    >>> as_potential(EMT())
    ASEPotential(elements all; cutoff 5 angstrom)
    """
    if isinstance(given, Potential):
        return given
    if isinstance(given, str | PathLike):
        return open_potential(Path(given) if isinstance(given, PathLike) else given)
    inner: Any = getattr(given, "potential", None)
    if isinstance(inner, Potential):
        return inner
    if hasattr(given, "get_property") and hasattr(given, "results"):
        from keel.potentials.external.ase import ASEPotential

        return ASEPotential(given)
    what = "nothing (None)" if given is None else a(type(given).__name__)
    raise DataError(f"{what} was given where a potential is expected; give a potential of keel, or name {POTENTIALS}")

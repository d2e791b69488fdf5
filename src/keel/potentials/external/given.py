"""Potentials in Python arguments: objects that are one, or have or name one."""

from __future__ import annotations

from keel.potentials.base import Potential
from keel.potentials.external.opening import Given as Given
from keel.potentials.external.opening import open_potential


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
    return open_potential(given)

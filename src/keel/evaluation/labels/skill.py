"""Are predicted forces any better than predicting zero?"""

from __future__ import annotations

import numpy as np

from keel.atoms.frame import Array
from keel.potentials.accuracy import over_zero

WORTH = 0.95
"""In units of the median and of the mean force: a potential that has learnt something has smaller errors in both."""


def typical(values: Array) -> float:
    """Return the median size of some numbers: a few forces of tens of eV/angstrom make most of a mean."""
    return float(np.median(np.abs(values)))


def left(errors: Array, labels: Array) -> float:
    """Return the error over the force, typical or mean, whichever is smaller: from :data:`WORTH` on nothing is known.

    Where most atoms are at rest, as in crystals of high symmetry among hot ones, a typical error may well be above a
    typical force: then means decide.

    Parameters
    ----------
    errors, labels
        Components, any shape, in one unit.
    """
    force = typical(labels)
    of_typical = typical(errors) / force if force else np.inf
    return float(np.minimum(of_typical, over_zero(errors, labels)))

"""The property contract that every potential must pass, usable for potentials from elsewhere.

``check_potential(potential)`` raises an AssertionError that says what does not hold; :class:`PotentialContract` is the
same as a pytest class (it needs pytest).
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import torch

from keel.potentials.base import Potential
from keel.testing.checks import DERIVATIVES, INVARIANCES
from keel.testing.rules import RULES, trial_elements
from keel.testing.structures import STRUCTURES, trial_frames

if TYPE_CHECKING:
    from keel.testing.contract import PotentialContract as PotentialContract

__all__ = ["DERIVATIVES", "INVARIANCES", "RULES", "STRUCTURES", "PotentialContract", "check_potential", "trial_frames"]


def check_potential(potential: Potential, exempt: Collection[str] = ()) -> None:
    """Try a potential on every check, structure and dtype.

    Parameters
    ----------
    potential
        Is not changed.
    exempt
        Names of checks and rules that do not apply, e.g. ``["smooth_cutoff"]``.

    Raises
    ------
    AssertionError
        Naming the first check that fails, the structure, and by how much.

    Examples
    --------
    >>> import keel
    >>> from keel.testing import check_potential
    >>> check_potential(keel.LennardJones(epsilon=0.1, sigma=1.5, cutoff=4.0))
    """
    trials = [(checks, dtype) for checks in (INVARIANCES,) for dtype in (torch.float32, torch.float64)]
    for checks, dtype in [*trials, (DERIVATIVES, torch.float64)]:
        cast = copy.deepcopy(potential).to(dtype)
        for name, check in checks.items():
            for structure in STRUCTURES if name not in exempt else ():
                try:
                    check(cast, trial_frames(structure, trial_elements(cast), cast.cutoff))
                except AssertionError as error:
                    raise AssertionError(f"{name} ({structure}, {dtype}): {error}") from None
    for name, rule in RULES.items():
        if name not in exempt:
            rule(potential)


def __getattr__(name: str) -> Any:
    if name == "PotentialContract":
        from keel.testing.contract import PotentialContract

        return PotentialContract
    raise AttributeError(f"module 'keel.testing' has no attribute {name!r}")

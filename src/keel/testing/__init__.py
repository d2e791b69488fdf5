"""The property contract that every potential must pass, also usable for potentials from other packages.

``check_potential(potential)`` raises an AssertionError that states what is violated; :class:`PotentialContract` is the
same as a pytest class (requires pytest). ``check_engine("LAMMPS", potential)`` compares another program's numbers.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

from keel.lazy import submodule
from keel.potentials.base import Potential
from keel.progress import bar
from keel.testing.checks import DERIVATIVES, INVARIANCES
from keel.testing.engines import ENGINES, check_engine
from keel.testing.modes import MODES, in_each_mode
from keel.testing.rules import RULES
from keel.testing.structures import STRUCTURES, trial_frames
from keel.testing.trials import TRIALS, applies, attempt, cast, known

if TYPE_CHECKING:
    from keel.testing.contract import PotentialContract as PotentialContract

__all__ = [
    "DERIVATIVES",
    "ENGINES",
    "INVARIANCES",
    "MODES",
    "RULES",
    "STRUCTURES",
    "PotentialContract",
    "check_engine",
    "check_potential",
    "trial_frames",
]


def check_potential(potential: Potential, exempt: Collection[str] = (), *, silent: bool = False) -> None:
    """Apply every check to a potential, on each structure and in each dtype; to a network with two modes, in both.

    Parameters
    ----------
    potential
        Is not changed.
    exempt
        Names of checks and rules that do not apply, e.g. ``["smooth_cutoff"]``, or of a mode, other than the
        potential's own, that is not to be tried, e.g. ``["reference"]``. Smoothness is not required of a reference mode
        in any case.
    silent
        Show no bar; there is one on a terminal only.

    Raises
    ------
    AssertionError
        One sentence that names the first check that fails, the structure, by how much, and the usual cause.
    ConfigError
        If ``exempt`` contains an unknown name.

    Examples
    --------
    >>> import keel
    >>> from keel.testing import check_potential
    >>> check_potential(keel.LennardJones(epsilon=0.1, sigma=1.5, cutoff=4.0))
    """
    exempt = known(exempt)
    variants = in_each_mode(potential, without=exempt)
    trials = [(mode, trial) for mode in variants for trial in TRIALS if applies(trial, mode, exempt)]
    in_dtype = cache(lambda mode, dtype: cast(variants[mode], dtype))
    with nullcontext(_nothing) if silent else bar(f"testing {type(potential).__name__}") as advance:
        for done, (mode, trial) in enumerate(trials):
            advance(done, len(trials), f"{trial}{mode and f', {mode} mode'}")
            attempt(trial, in_dtype(mode, trial.dtype), mode)


def _nothing(done: int, total: int, remark: str = "") -> None:
    """Show nothing."""


def __getattr__(name: str) -> Any:
    if name == "PotentialContract":
        from keel.testing.contract import PotentialContract

        return PotentialContract
    return submodule(__name__, name)


def __dir__() -> list[str]:
    return sorted(__all__)

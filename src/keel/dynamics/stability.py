"""First-passage stability: how long do simulations with a potential stay physical, and what ends them?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from keel.atoms.frame import Frame
from keel.atoms.neighbours import as_frame
from keel.dynamics.results import Trajectory
from keel.dynamics.simulate import default_timestep, simulate
from keel.dynamics.survival import Survival, kaplan_meier, shares_of_causes
from keel.errors import ConfigError
from keel.potentials.base import Potential

if TYPE_CHECKING:
    from ase import Atoms

LADDER = (1000.0, 2000.0, 3000.0, 4000.0)
"""Temperatures in K at which potentials are compared."""


@dataclass(frozen=True, eq=False)
class StabilityResult:
    """Runs of one potential at one temperature.

    Parameters
    ----------
    trajectories
        The runs.
    temperature, timestep, friction, length
        In K, fs, 1/fs, fs.
    seed
        Of velocities and noise.
    """

    trajectories: tuple[Trajectory, ...]
    temperature: float
    timestep: float
    friction: float
    length: float
    seed: int

    @property
    def times(self) -> list[float]:
        """Time to failure of each run in fs; a survivor has the run's length."""
        return [t.time for t in self.trajectories]

    @property
    def causes(self) -> list[str | None]:
        """Cause of failure of each run; None for a survivor."""
        return [t.cause for t in self.trajectories]

    @property
    def failed_share(self) -> float:
        """Share of runs that failed."""
        return sum(c is not None for c in self.causes) / len(self.causes)

    @property
    def first_failure(self) -> Trajectory | None:
        """The run that failed first, of several the one with the lowest number; None if all survived."""
        failed = [t for t in self.trajectories if not t.survived]
        return min(failed, key=lambda t: (t.time, t.run), default=None)

    @cached_property
    def survival(self) -> Survival:
        """Kaplan-Meier estimate of the survival curve."""
        return kaplan_meier(self.times, [c is not None for c in self.causes])

    @property
    def cause_shares(self) -> dict[str, float]:
        """Share of all runs that each cause ended."""
        return shares_of_causes(self.causes)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings and outcome as they stand in a summary, JSON-compatible."""
        return {
            "md_temperature_k": self.temperature,
            "md_timestep_fs": self.timestep,
            "md_friction_per_fs": self.friction,
            "md_length_fs": self.length,
            "time_to_failure_fs": self.times,
            "failure_cause": self.causes,
        }


def stability(
    potential: Potential,
    starts: Sequence[Frame | Atoms],
    *,
    temperature: float,
    length_fs: float,
    n_runs: int | None = None,
    timestep: float | None = None,
    friction: float = 0.01,
    seed: int = 0,
    **options: Any,
) -> StabilityResult:
    """Simulate ``n_runs`` times from some structures and note when and why each run failed.

    Run k starts from structure k modulo their number, with velocities and noise of (seed, k). All other arguments are
    those of :func:`keel.dynamics.simulate`.

    Parameters
    ----------
    potential, starts, temperature
        What to simulate, from where, at how many K.
    length_fs
        Length of a run in fs, a whole number of time steps (rounded up).
    n_runs
        Number of runs; None: one from each structure.
    options
        Further arguments of :func:`keel.dynamics.simulate`: ensemble, pressure, criteria, record_every, ...

    Raises
    ------
    ConfigError, DataError
        See :func:`keel.dynamics.simulate`.
    """
    if not length_fs > 0 or (n_runs is not None and n_runs < 1):
        raise ConfigError("the length of a run must be positive, and there must be at least one run")
    frames = [as_frame(s) for s in starts]
    timestep = default_timestep(frames) if timestep is None else timestep
    steps = _steps(length_fs, timestep)
    members = [frames[k % len(frames)] for k in range(n_runs or len(frames))] if frames else []
    trajectories = simulate(
        potential,
        members,
        temperature=temperature,
        steps=steps,
        timestep=timestep,
        friction=friction,
        seed=seed,
        **options,
    )
    return StabilityResult(tuple(trajectories), temperature, timestep, friction, steps * timestep, seed)


@dataclass(frozen=True, eq=False)
class Rung:
    """The temperature at which potentials are compared, and how it was found.

    Parameters
    ----------
    temperature
        The lowest of the ladder at which at least half of the runs failed, in K; None if they hold at all.
    tried
        The results of each potential at each temperature tried, in order.
    """

    temperature: float | None
    tried: tuple[tuple[float, tuple[StabilityResult, ...]], ...]

    @property
    def median(self) -> float | None:
        """Median time to failure of all runs at the rung in fs; None without a rung."""
        if self.temperature is None:
            return None
        results = self.tried[-1][1]
        times = [t for r in results for t in r.times]
        return kaplan_meier(times, [c is not None for r in results for c in r.causes]).median

    def length(self, factor: float = 5.0) -> float | None:
        """Return ``factor`` times the median, long enough to see what lives longer, in fs; None without a rung."""
        return None if self.median is None else factor * self.median


def find_rung(
    potentials: Potential | Sequence[Potential],
    starts: Sequence[Frame | Atoms],
    *,
    length_fs: float,
    ladder: Sequence[float] = LADDER,
    share: float = 0.5,
    **settings: Any,
) -> Rung:
    """Find the lowest temperature of a ladder at which at least a share of the runs fails.

    Parameters
    ----------
    potentials
        The potential to be compared with (vanilla), or one for each training seed; their runs are pooled.
    starts
        Validation structures: those that later serve the comparison would bias the choice.
    length_fs, settings
        See :func:`stability`.
    ladder
        Temperatures in K, tried in ascending order.
    share
        Of runs that must fail.
    """
    members = [potentials] if isinstance(potentials, Potential) else list(potentials)
    if not ladder or not members:
        raise ConfigError("finding a rung needs at least one temperature and one potential")
    tried: list[tuple[float, tuple[StabilityResult, ...]]] = []
    for temperature in sorted(ladder):
        results = tuple(stability(p, starts, temperature=temperature, length_fs=length_fs, **settings) for p in members)
        tried.append((temperature, results))
        causes = [c for r in results for c in r.causes]
        if sum(c is not None for c in causes) >= share * len(causes):
            return Rung(temperature, tuple(tried))
    return Rung(None, tuple(tried))


def _steps(length: float, timestep: float) -> int:
    # Half a millionth of a step is rounding, not a further step.
    return max(1, -int(-(length / timestep - 5e-7) // 1))

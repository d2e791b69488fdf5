"""First-passage stability: how long do simulations with a potential stay physical, and what ends them?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from keel.atoms.conversion import Structures, as_frames
from keel.dynamics.criteria import Criterion
from keel.dynamics.results import LEFT_THE_DATA, Trajectory, has_failed
from keel.dynamics.settings import HERE, ComputeSettings, MDSettings, Schedule
from keel.dynamics.simulate import CHECKPOINT_EVERY, simulate
from keel.dynamics.survival import Survival, kaplan_meier, shares_of_causes
from keel.errors import ConfigError
from keel.potentials.base import Potential
from keel.ranges import Duration, Runs, checked
from keel.showing import Facts, Shown, first_rows, table

LADDER = (1000.0, 2000.0, 3000.0, 4000.0)
"""Temperatures in K at which potentials are compared."""


@dataclass(frozen=True, eq=False, repr=False)
class StabilityResult(Shown):
    """Runs of one potential at one temperature.

    Parameters
    ----------
    trajectories
        The runs.
    temperature, timestep_fs, friction_per_fs, length_fs
        Temperature in K, and length of a run that does not fail.
    seed
        Of velocities and noise.
    """

    trajectories: tuple[Trajectory, ...]
    temperature: float
    timestep_fs: float
    friction_per_fs: float
    length_fs: float
    seed: int

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        counts = {cause: round(share * len(self.causes)) for cause, share in self.cause_shares.items()}
        left = counts.pop(LEFT_THE_DATA, 0)
        causes = ", ".join(f"{cause} {count}" for cause, count in counts.items())
        return {
            "runs": f"{len(self.times)} at {self.temperature:g} K",
            "length": f"{self.length_fs:g} fs",
            "failed": f"{sum(self.failed)}" + (f" ({causes})" if causes else ""),
            **({LEFT_THE_DATA: str(left)} if left else {}),
            "median time to failure": f"{self.survival.median_text} fs",
        }

    def _repr_html_(self) -> str:
        """Show the outcome of each run."""
        title = "; ".join(" ".join(fact) for fact in self.facts().items())
        runs = (
            (t.run, t.last.frame.source, f"{'' if t.cause else '> '}{t.time:g}", t.cause or "")
            for t in self.trajectories
        )
        rows = first_rows(runs, len(self.times))
        return table(first_rows(rows, len(self.times)), title=title, header=("run", "start", "lived (fs)", "ended by"))

    @property
    def times(self) -> list[float]:
        """Time to failure of each run in fs; a survivor has the run's length."""
        return [t.time for t in self.trajectories]

    @property
    def causes(self) -> list[str | None]:
        """Why each run ended before its time; None for a survivor."""
        return [t.cause for t in self.trajectories]

    @property
    def failed(self) -> list[bool]:
        """Whether each run failed; one that left the data was stopped before it could."""
        return list(map(has_failed, self.causes))

    @property
    def failed_share(self) -> float:
        """Share of runs that failed."""
        return sum(self.failed) / len(self.failed)

    @property
    def first_failure(self) -> Trajectory | None:
        """The run that failed first, if several, the one with the lowest number; None if all survived."""
        failed = [t for t, failed in zip(self.trajectories, self.failed, strict=True) if failed]
        return min(failed, key=lambda t: (t.time, t.run), default=None)

    @cached_property
    def survival(self) -> Survival:
        """Kaplan-Meier estimate of the survival curve; runs that left the data are censored then."""
        return kaplan_meier(self.times, self.failed)

    @property
    def cause_shares(self) -> dict[str, float]:
        """Share of all runs that each cause ended."""
        return shares_of_causes(self.causes)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings and outcome as in a summary, JSON-compatible."""
        return {
            "md_temperature_k": self.temperature,
            "md_timestep_fs": self.timestep_fs,
            "md_friction_per_fs": self.friction_per_fs,
            "md_length_fs": self.length_fs,
            "time_to_failure_fs": self.times,
            "failure_cause": self.causes,
        }


def stability(
    potential: Potential,
    starts: Structures,
    settings: MDSettings,
    *,
    n_runs: int | None = None,
    criteria: Sequence[Criterion] | None = None,
    compute: ComputeSettings = HERE,
    out: str | Path | None = None,
    checkpoint_every: int = CHECKPOINT_EVERY,
    callback: Callable[[int, int], None] | None = None,
    beside: Sequence[Potential] = (),
) -> StabilityResult:
    """Simulate ``n_runs`` times from some structures and record when and why each run failed.

    Run k starts from structure k modulo their number, with velocities and noise of (seed, k).

    Parameters
    ----------
    potential, starts, settings
        What to simulate, from where, at which temperature, how long.
    n_runs
        Number of runs; None: one from each structure.
    criteria, compute, out, checkpoint_every, callback, beside
        See :func:`keel.dynamics.simulate`.

    Raises
    ------
    ConfigError, DataError
        See :func:`keel.dynamics.simulate`; also if there is to be no run, or one without length.
    """
    n_runs = checked(Runs, n_runs, "n_runs")
    checked(Duration, settings.length_fs, "the length of a run (length_fs)")
    frames = as_frames(starts, labels=False)
    schedule = Schedule.of(settings, frames)
    trajectories = simulate(
        potential,
        [frames[k % len(frames)] for k in range(n_runs or len(frames))] if frames else [],
        schedule,
        criteria=criteria,
        compute=compute,
        out=out,
        checkpoint_every=checkpoint_every,
        callback=callback,
        beside=beside,
    )
    return StabilityResult(
        tuple(trajectories),
        temperature=schedule.temperature,
        timestep_fs=schedule.timestep_fs,
        friction_per_fs=schedule.friction_per_fs,
        length_fs=schedule.steps * schedule.timestep_fs,
        seed=schedule.seed,
    )


def failed_of(results: Iterable[StabilityResult]) -> list[bool]:
    """Return whether each run of several results failed."""
    return [failed for result in results for failed in result.failed]


@dataclass(frozen=True, eq=False, repr=False)
class Rung(Shown):
    """The temperature at which potentials are compared, and how it was found.

    Parameters
    ----------
    temperature
        The lowest of the ladder at which at least half of the runs failed, in K; None if they survive at all.
    tried
        The results of each potential at each temperature tried, in order.
    """

    temperature: float | None
    tried: tuple[tuple[float, tuple[StabilityResult, ...]], ...]

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        failures = {at: failed_of(results) for at, results in self.tried}
        failed = {at: f"{sum(of)} of {len(of)}" for at, of in failures.items()}
        return {
            "temperature": "none" if self.temperature is None else f"{self.temperature:g} K",
            "failed": ", ".join(f"{counted} at {at:g} K" for at, counted in failed.items()),
        }

    @property
    def median(self) -> float | None:
        """Median time to failure of all runs at the rung in fs; None without a rung."""
        if self.temperature is None:
            return None
        results = self.tried[-1][1]
        times = [t for r in results for t in r.times]
        return kaplan_meier(times, failed_of(results)).median

    def length_fs(self, factor: float = 5.0) -> float | None:
        """Return ``factor`` times the median, so that longer lives show too; None without a rung."""
        return None if self.median is None else factor * self.median


def find_rung(
    potentials: Potential | Sequence[Potential],
    starts: Structures,
    settings: MDSettings,
    *,
    ladder: Sequence[float] = LADDER,
    share: float = 0.5,
    n_runs: int | None = None,
    criteria: Sequence[Criterion] | None = None,
    compute: ComputeSettings = HERE,
    callback: Callable[[int, int], None] | None = None,
) -> Rung:
    """Find the lowest temperature of a ladder at which at least a share of the runs fails.

    Parameters
    ----------
    potentials
        The potential to be compared with (vanilla), or one for each training seed; their runs are pooled.
    starts
        Validation structures: those of the later comparison would bias the choice.
    settings
        Of each run; its temperature is that of the rung.
    ladder
        Temperatures in K, tried in ascending order.
    share
        Of runs that must fail.
    n_runs, criteria, compute, callback
        See :func:`stability`.

    Raises
    ------
    ConfigError, DataError
        If there is no temperature or no potential; see also :func:`stability`.
    """
    members = [potentials] if isinstance(potentials, Potential) else list(potentials)
    starts = as_frames(starts, labels=False)
    if not ladder or not members:
        raise ConfigError("finding a temperature needs at least one temperature and one potential")
    tried: list[tuple[float, tuple[StabilityResult, ...]]] = []
    for temperature in sorted(ladder):
        hot = settings.replace(temperature=temperature)
        results = tuple(
            stability(p, starts, hot, n_runs=n_runs, criteria=criteria, compute=compute, callback=callback)
            for p in members
        )
        tried.append((temperature, results))
        failed = failed_of(results)
        if sum(failed) >= share * len(failed):
            return Rung(temperature, tuple(tried))
    return Rung(None, tuple(tried))

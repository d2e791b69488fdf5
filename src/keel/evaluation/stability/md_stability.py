"""Does molecular dynamics remain stable when hotter, under pressure, or started compressed?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Frame
from keel.comparison.samples import Sample
from keel.dynamics.criteria import Criterion
from keel.dynamics.results import Snapshot, Trajectory
from keel.dynamics.settings import HERE, ComputeSettings
from keel.dynamics.stability import StabilityResult, stability
from keel.dynamics.survival import Survival
from keel.evaluation.check import CheckResult, Curve, Film, Metric, Outcome
from keel.evaluation.probing import check_structures
from keel.evaluation.stability.conditions import STANDARD, Condition, LadderSettings
from keel.identity import of_geometry
from keel.potentials.base import Potential
from keel.wording import listed

NAME = "MD stability"
LIFETIME = "time to failure"
"""Name of the sample of each condition."""
FILM = 30
"""Number of states before a failure in a film, one per time step."""


def md_stability(
    potential: Potential,
    starts: Structures,
    settings: LadderSettings = STANDARD,
    *,
    criteria: Sequence[Criterion] | None = None,
    compute: ComputeSettings = HERE,
    callback: Callable[[int, int], None] | None = None,
) -> CheckResult:
    """Simulate up a ladder of temperatures, and under pressure, until each run fails or ends.

    A run fails at the first step that meets one of the criteria. The share of failed runs is judged; the median time to
    failure (if half of the runs failed) and the mean time survived, the area under the Kaplan-Meier curve, are given as
    well. Curves are survival with its 95 % band, films the last moments of the first run that failed under each
    condition, samples the times of all runs.

    Parameters
    ----------
    potential, starts
        What to simulate, and from which structures.
    settings
        Temperatures, pressures, compression, length; up to ``must_hold`` no run may fail; results above are for
        information.
    criteria, compute
        See :func:`keel.dynamics.simulate`.
    callback
        Called with (structure-steps done, in all) after every step.

    Raises
    ------
    ConfigError, DataError
        See :func:`ladder`.
    """
    starts = as_frames(starts, labels=False)
    rungs = ladder(potential, starts, settings, criteria=criteria, compute=compute, callback=callback)
    samples = tuple(lifetimes_of(condition, result, starts) for condition, result in rungs.items())
    return replace(judge_ladder(rungs, must_hold=settings.must_hold), samples=samples)


def ladder(
    potential: Potential,
    starts: Structures,
    settings: LadderSettings = STANDARD,
    *,
    criteria: Sequence[Criterion] | None = None,
    compute: ComputeSettings = HERE,
    callback: Callable[[int, int], None] | None = None,
) -> dict[Condition, StabilityResult]:
    """Simulate under each condition: the same starts with the same random numbers.

    Parameters
    ----------
    potential, starts, settings, criteria, compute, callback
        See :func:`md_stability`.

    Raises
    ------
    DataError
        If there is no structure, or a structure that is not periodic is to be compressed or put under pressure.
    """
    starts = as_frames(starts, labels=False)
    conditions = settings.conditions
    check_structures(starts)
    moved = {condition: [condition.start(frame) for frame in starts] for condition in conditions}
    return {
        condition: stability(
            potential,
            moved[condition],
            settings.at(condition).replace(recent=FILM),
            n_runs=settings.n_runs,
            criteria=criteria,
            compute=compute,
            callback=_part(callback, k, len(conditions)),
        )
        for k, condition in enumerate(conditions)
    }


def judge_ladder(rungs: Mapping[Condition, StabilityResult], *, must_hold: float) -> CheckResult:
    """Judge a potential by the runs of a :func:`ladder`; it must be stable up to a temperature in K.

    Parameters
    ----------
    rungs
        The runs under each condition.
    must_hold
        Temperature in K up to which no run may fail.
    """
    share = 100 * float(np.mean([result.failed_share for result in rungs.values()]))
    overall = Metric("failed runs under all conditions", share, "%")
    metrics = (overall, *(m for c, result in rungs.items() for m in _metrics(c, result, must_hold)))
    limited = [m for m in metrics if m.limit is not None]
    outcome: Outcome = "noted" if not limited else "passed" if all(m.passed for m in limited) else "failed"
    curves = tuple(survival_curve(str(c), result.survival) for c, result in rungs.items())
    firsts = {c: result.first_failure for c, result in rungs.items()}
    films = tuple(film_of(f"{run.cause} at {c}, run {run.run}", run) for c, run in firsts.items() if run is not None)
    return CheckResult(NAME, metrics, curves, outcome, _verdict(rungs, must_hold), films)


def lifetimes_of(condition: Condition, result: StabilityResult, starts: Sequence[Frame]) -> Sample:
    """Return the time and cause of each run, with what fixes its start, velocities and noise."""
    origins = [of_geometry(frame) for frame in starts]
    pressure = list(condition.pressure) if isinstance(condition.pressure, tuple) else condition.pressure
    return Sample(
        LIFETIME,
        "fs",
        np.array(result.times, dtype=np.float64),
        tuple(origins[run.run % len(origins)] for run in result.trajectories),
        str(condition),
        {
            **vars(condition),
            "pressure": pressure,
            "length": result.length_fs,
            "timestep": result.timestep_fs,
            "friction": result.friction_per_fs,
            "seed": result.seed,
        },
        tuple(result.causes),
    )


def survival_curve(name: str, survival: Survival) -> Curve:
    """Return the survival curve as a line to draw, with its steps and its band."""
    times = np.repeat(survival.times, 2)[1:]
    y, low, high = (np.repeat(v, 2)[:-1] for v in (survival.survival, survival.lower, survival.upper))
    return Curve(name, times, y, "time (fs)", "share of runs that live", low, high)


def film_of(name: str, run: Trajectory) -> Film:
    """Return the last moments of a run, the failure included unless its positions are not finite."""
    states = {state.step: state for state in (*run.recent, *([run.failed] if run.failed else []))}
    shown = [state for state in states.values() if np.isfinite(state.frame.positions).all()]
    return Film(name, tuple(_drawable(state) for state in shown), tuple(state.time for state in shown))


def _drawable(state: Snapshot) -> Frame:
    forces = state.frame.forces
    finite = forces is not None and np.isfinite(forces).all() and np.isfinite(state.total_energy)
    return state.frame if finite else state.frame.unlabelled()


def _part(callback: Callable[[int, int], None] | None, k: int, n: int) -> Callable[[int, int], None] | None:
    """Return the callback for part k of n equal parts."""
    return None if callback is None else lambda done, total: callback(k * total + done, n * total)


def _metrics(condition: Condition, result: StabilityResult, must_hold: float) -> list[Metric]:
    """Return what was found under one condition; no median where it is beyond the end of the runs."""
    limit = 0.0 if condition.temperature <= must_hold else None
    metrics = [Metric(f"failed runs at {condition}", 100 * result.failed_share, "%", limit)]
    if result.survival.median is not None:
        metrics.append(Metric(f"median time to failure at {condition}", result.survival.median, "fs"))
    mean = result.survival.restricted_mean(result.length_fs)
    return [*metrics, Metric(f"mean time survived at {condition}", mean, "fs")]


def _verdict(rungs: Mapping[Condition, StabilityResult], must_hold: float) -> str:
    held = [c for c, result in rungs.items() if result.first_failure is None]
    fallen = {c: _fallen(c, result) for c, result in rungs.items() if c not in held}
    forbidden = [text for c, text in fallen.items() if c.temperature <= must_hold]
    clauses = ["simulations fail where they must hold: " + "; ".join(forbidden)] if forbidden else []
    clauses += [_held(held, rungs[held[0]])] if held else []
    return "; ".join(clauses + [text for c, text in fallen.items() if c.temperature > must_hold])


def _held(conditions: Sequence[Condition], result: StabilityResult) -> str:
    names, n = listed([str(c) for c in conditions]), len(result.times)
    share = 100 * (1 - result.survival.lower[-1])
    chance = f"at most {share:.0f} % of such runs fail, with 95 % confidence"
    return f"none of {n} runs failed within {result.length_fs:g} fs at {names} ({chance})"


def _fallen(condition: Condition, result: StabilityResult) -> str:
    causes = ", ".join(f"{cause} {100 * share:.0f} %" for cause, share in result.cause_shares.items())
    failed = sum(result.failed)
    median = f"median time to failure {result.survival.median_text} fs"
    return f"at {condition} {failed} of {len(result.times)} runs failed ({causes}), {median}"

"""Fitting an assessment to a time: shorter simulations from fewer starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor
from pathlib import Path

from keel.config import AssessmentSettings
from keel.errors import ConfigError
from keel.evaluation.battery import groups_of
from keel.evaluation.exact.conservation import NVE
from keel.evaluation.stability.conditions import SHORTEST_FS
from keel.evaluation.subject import Subject
from keel.potentials.external.opening import Opening, is_calculator
from keel.progress import console
from keel.wording import duration
from keel.workflow.planning.budget import remember, remembered
from keel.workflow.probes import FEW

SIMULATING = 0.6
"""Share of the time that simulations may take: the time of the other probes is unknown in advance."""
FEWEST_STARTS = 2
SIMULATED = ("stability", "structure", "density")
"""Groups of probes that can be left out because they simulate."""
LENGTHS_OF_NVE = 3
"""A simulation at the time step, and one at half of it, which takes twice as many steps."""
OF_CALCULATORS = 720.0
"""Seconds for ASE calculators, which evaluate one structure after the other, without ``--budget``."""


def usual_budget(settings: AssessmentSettings, openings: Sequence[Opening]) -> float | None:
    """Return the seconds that an assessment may take if nobody has said: no limit unless a potential is a calculator.

    Length and number of simulations that were chosen are kept.
    """
    chosen = settings.model_fields_set & {"length_fs", "starts"}
    return OF_CALCULATORS if not chosen and any(is_calculator(o.name) for o in openings) else None


def within(
    budget: float, root: Path, settings: AssessmentSettings, subjects: Callable[[], Sequence[Subject]], workers: int
) -> AssessmentSettings:
    """Return the settings that fit a time in seconds, the same as before in the same folder, and print them.

    ``subjects`` opens the potentials, which is done only where nothing was found before.

    Raises
    ------
    ConfigError
        See :func:`fitted_assessment`.
    """
    found = remembered(root, settings, budget)
    before = ", as determined before" if found else ""
    if found is None:
        found = fitted_assessment(settings, subjects(), budget, workers)
        remember(root, settings, budget, found)
    if simulating(found) or not simulating(settings):
        each = f"simulations of {found.length_fs / 1000:g} ps from up to {found.starts} starts fit {duration(budget)}"
    else:
        each = f"no simulations, because not even {FEWEST_STARTS} of each kind fit {duration(budget)}"
    console.print(f"     plan  --budget: {each}{before}", soft_wrap=True)
    return found


def fitted_assessment(
    settings: AssessmentSettings, subjects: Sequence[Subject], budget: float, workers: int = 1
) -> AssessmentSettings:
    """Return the settings with simulations of a length, and from a number of starts, that a time allows.

    Simulations become shorter first, down to the 1000 fs below which they prove nothing. Then those of structure are
    left out if there is no reference, and the others become fewer; if not even two starts fit, all are left out.

    Parameters
    ----------
    settings
        The settings without a time limit.
    subjects
        The potentials with their starts: a few steps of MD of each are timed.
    budget
        Seconds for all of them together.
    workers
        Processes side by side.

    Raises
    ------
    ConfigError
        If nothing but simulations was asked for and not even two starts and 1000 fs fit.
    """
    if not simulating(settings):
        return settings
    first = subjects[0]
    steps_per_fs = 1.0 / settings.md(settings.temperature, SHORTEST_FS).timestep_of(first.starts)
    a_femtosecond = sum(map(seconds_of_a_step, subjects)) * steps_per_fs
    starts, shortest = min(settings.starts, len(first.starts)), min(SHORTEST_FS, settings.length_fs)
    fewest = min(FEWEST_STARTS, starts)
    lengths = (settings.length_fs, *range(floor(settings.length_fs / 100) * 100, floor(shortest), -100), shortest)
    shorter = [settings.replace(starts=starts, length_fs=length) for length in lengths]
    spared = shorter[-1] if first.reference else _without_structure(shorter[-1])
    fewer = [spared.replace(starts=number) for number in range(starts, fewest - 1, -1)]
    for found in shorter + fewer:
        if busiest_fs(found, workers) * a_femtosecond <= SIMULATING * budget:
            return found
    if others := [name for name in groups_of(settings.probes) if name not in SIMULATED]:
        return settings.replace(probes=tuple(others), starts=fewest)
    least = duration(busiest_fs(found, workers) * a_femtosecond / SIMULATING)
    raise ConfigError(
        f"--budget: {duration(budget)} is too short: {fewest} starts of {shortest:g} fs under each condition take "
        f"about {least}; give more time, or fewer conditions or --probes"
    )


def left_out(asked: AssessmentSettings, fitted: AssessmentSettings, budget: float) -> dict[str, str]:
    """Return the groups of probes that a time in seconds leaves out, each with the reason."""
    limit = f"the time limit of {duration(budget)} (--budget)"
    if simulating(fitted):
        why = f"without --reference it measures only diffusion, for which simulations within {limit} are too short"
    else:
        why = f"not even {FEWEST_STARTS} simulations of each kind fit {limit}"
    return {name: why for name in groups_of(asked.probes) if name not in groups_of(fitted.probes)}


def _without_structure(settings: AssessmentSettings) -> AssessmentSettings:
    """Return the settings without simulations that measure diffusion alone, unless nothing else simulates."""
    spared = settings.replace(probes=tuple(name for name in groups_of(settings.probes) if name != "structure"))
    return spared if simulating(spared) else settings


def simulating(settings: AssessmentSettings) -> bool:
    """Return whether probes are chosen that simulate for as long as the settings say."""
    return not set(SIMULATED).isdisjoint(groups_of(settings.probes))


def longest_first(settings: AssessmentSettings) -> list[str]:
    """Return the chosen groups of probes in the order in which several processes should begin them.

    Simulations take longest, then the many relaxations of the equilibrium.
    """
    simulated = {"equilibrium": 1.0} | simulated_fs(settings)
    return sorted(groups_of(settings.probes), key=lambda name: -simulated.get(name, 0.0))


def busiest_fs(settings: AssessmentSettings, workers: int) -> float:
    """Return the femtoseconds that the busiest of several processes simulates, each group of probes in one of them."""
    simulated = simulated_fs(settings).values()
    return max(*simulated, sum(simulated) / workers)


def simulated_fs(settings: AssessmentSettings) -> dict[str, float]:
    """Return the femtoseconds that each chosen group of probes simulates, of all starts together."""
    one = settings.starts * settings.length_fs
    simulated = {
        "stability": len(settings.conditions) * one,
        "structure": one,
        "density": one,
        "exact": LENGTHS_OF_NVE * min(settings.nve_starts, FEW) * NVE.length_fs,
    }
    return {name: simulated[name] for name in groups_of(settings.probes) if name in simulated}


def seconds_of_a_step(subject: Subject) -> float:
    """Return what a step of one simulation takes in the batch of all starts, measured."""
    # Imports training code, which an assessment without a budget does not need.
    from keel.workflow.planning.timing import md_step

    return md_step(subject.potential, subject.starts, subject.settings, subject.settings.temperature)

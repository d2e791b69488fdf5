"""Which volume does a structure have under pressure with a potential?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Array, Frame
from keel.atoms.mobility import freed, masses_of
from keel.comparison.series import Estimate, mean_of, series_mean
from keel.dynamics.criteria import Criterion
from keel.dynamics.results import Trajectory
from keel.dynamics.settings import HERE, ComputeSettings, MDSettings, Schedule
from keel.dynamics.simulate import simulate
from keel.errors import ConfigError, DataError
from keel.evaluation.check import CheckResult, Curve, Metric, judged
from keel.evaluation.structure.recorded import DISCARD, grouped
from keel.potentials.base import Potential

NAME = "density"
GRAMS_PER_CM3 = 1.66053906892
"""1 u/angstrom^3 in g/cm^3 (CODATA 2022)."""

LARGEST_CHANGE = 10.0
"""% by which the mean volume may differ from the reference's. Density functionals differ by some 5 % among themselves,
and heating a crystal by 1000 K expands it by 1 to 5 %; larger differences mean another structure or equation of
state."""

SAME = 1e-6
"""Relative tolerance for equal volumes: files have seven digits or more."""

RECORDS = 400
"""Volumes recorded in each run."""

FEWEST = 8
"""Fewest volumes of a run for an error of their mean."""

UNKNOWN = Estimate(float("nan"), float("nan"), 1.0)


def density(
    potential: Potential,
    frames: Structures,
    settings: MDSettings,
    *,
    reference: Structures | None = None,
    by: str | None = None,
    discard: float = DISCARD,
    criteria: Sequence[Criterion] | None = None,
    compute: ComputeSettings = HERE,
    callback: Callable[[int, int], None] | None = None,
) -> CheckResult:
    """Simulate each structure at constant pressure, and compare its mean volume with that of the reference.

    It passes if no run fails and no mean volume is off by more than :data:`LARGEST_CHANGE`. The density is the mass
    over the mean volume, averaged over runs; 1.96 errors to either side are 95 % intervals, which allow for the
    correlation of successive volumes of a run (:func:`~keel.comparison.series.series_mean`).

    Parameters
    ----------
    potential
        The potential to be probed.
    frames
        Structures to start from, periodic in three directions.
    settings
        Of the simulations, among them temperature, pressure and length; the ensemble is NPT.
    reference
        At this temperature and pressure, in order of time: their mean volume per atom is the reference. A volume that
        does not change from frame to frame was not measured, and is not used for comparison. None: the volume that each
        run starts with, that of the DFT cell.
    by
        Key in ``Frame.info`` that names the structure, if there are several; None: all are of one.
    discard
        Share of each run that is left out at its beginning.
    criteria, compute, callback
        See :func:`keel.dynamics.simulate`.

    Raises
    ------
    ConfigError
        If the length is not positive or the share not in [0, 1).
    DataError
        If there is no reference frame of a structure, or one is not periodic in three directions. See also
        :func:`keel.dynamics.simulate`.
    """
    frames = as_frames(frames, labels=False)
    reference = None if reference is None else as_frames(reference, labels=False)
    if not settings.length_fs > 0:
        raise ConfigError(f"the length of a run must be positive, not {settings.length_fs:g} fs")
    if not 0 <= discard < 1:
        raise ConfigError(f"discard must be a share of the run in [0, 1), not {discard:g}")
    expected = None if reference is None else reference_volumes(frames, reference, by)
    steps = Schedule.of(settings, frames).steps
    runs = simulate(
        potential,
        [freed(frame) for frame in frames],
        settings.replace(ensemble="npt", record_every=max(1, steps // RECORDS)),
        criteria=criteria,
        compute=compute,
        callback=callback,
    )
    if expected is not None:
        return _judge(runs, expected, discard, "reference")
    found = _judge(runs, np.array([_volume(frame) for frame in frames]), discard, "start")
    if reference is None:
        return found
    return replace(
        found, verdict=f"{found.verdict}; the reference has a constant volume, so there is nothing to compare with"
    )


def reference_volumes(frames: Sequence[Frame], reference: Sequence[Frame], by: str | None = None) -> Array | None:
    """Return the mean volume per atom in angstrom^3 of the reference of each frame, shape (K,).

    None if the volume of a structure is the same in at least half of its successive frames, those of one run where
    ``Frame.info`` says which (``run``): its cell was held.

    Raises
    ------
    DataError
        If there is no reference frame of a structure, or one is not periodic in three directions.
    """
    if not reference:
        raise DataError("there is no reference frame whose volume could be compared")
    for frame in reference:
        if not frame.pbc.all():
            raise DataError(f"{frame.source}: a volume needs a cell that is periodic in three directions")
    groups = grouped(reference, by)
    volumes = {name: np.array([_volume(f) for f in group]) for name, group in groups.items()}
    names = [name for frame in frames for name in grouped([frame], by)]
    if absent := [name for name in names if name not in volumes]:
        raise DataError(f"there is no reference frame for {by} {absent[0]}")
    if not all(_moves(groups[name]) for name in names):
        return None
    return np.array([volumes[name].mean() for name in names])


def _moves(frames: Sequence[Frame]) -> bool:
    """Whether the volume changes from frame to frame. Runs may be in one file, with alternating frames."""
    runs: dict[object, list[float]] = {}
    for frame in frames:
        runs.setdefault(frame.info.get("run"), []).append(_volume(frame))
    changes = np.concatenate([np.abs(np.diff(volumes)) for volumes in runs.values()])
    return bool(changes.size) and float(np.median(changes)) > SAME * _volume(frames[0])


def _volume(frame: Frame) -> float:
    return frame.volume / len(frame)


def _judge(runs: Sequence[Trajectory], expected: Array, discard: float, whose: str) -> CheckResult:
    """Judge the volumes against those expected, of the ``"reference"`` or of the ``"start"``."""
    series = [_series(run) for run in runs]
    kept = [v[int(discard * len(v)) :] for v in series]
    means = np.array([v.mean() if len(v) else np.nan for v in kept])
    volumes = mean_of(
        [series_mean(v).over(m) if len(v) >= FEWEST else UNKNOWN for v, m in zip(kept, means, strict=True)]
    )
    changes, weights = 100.0 * (means / expected - 1.0), np.array([_mass_per_atom(run) for run in runs])
    worst = int(np.argmax(np.where(np.isnan(changes), np.inf, np.abs(changes))))
    grams, causes = GRAMS_PER_CM3 * weights / means, [run.cause for run in runs if run.cause is not None]
    error = volumes.error
    metrics = (
        Metric(f"volume from the {whose}'s", float(changes[worst]), "%", LARGEST_CHANGE),
        Metric("runs that failed", len(causes), "", 0),
        Metric("density", float(grams.mean()), "g/cm^3"),
        Metric("density +-", error * float(grams.mean()), "g/cm^3"),
        Metric("volume", float(means.mean()), "angstrom^3/atom"),
        Metric("volume +-", error * float(means.mean()), "angstrom^3/atom"),
        Metric("volume, last half from first", _drift(kept[worst]), "%"),
    )
    curves = [
        Curve(f"run {run.run}", run.times, v, "time (fs)", "volume (angstrom^3/atom)")
        for run, v in zip(runs, series, strict=True)
    ]
    good = f"{metrics[2].value:.4g} +- {metrics[3].value:.1g} g/cm^3, volume {changes[worst]:+.2g} % from the {whose}'s"
    bad = "the volume is wrong" + (f" ({', '.join(sorted(set(causes)))})" if causes else "")
    return judged(NAME, metrics, curves, good, bad)


def _series(run: Trajectory) -> Array:
    """Return the recorded volumes per atom in angstrom^3."""
    return np.array([_volume(frame) for frame in run.frames])


def _mass_per_atom(run: Trajectory) -> float:
    return float(masses_of(run.last.frame).mean())


def _drift(volumes: Array) -> float:
    """Return how much larger the volume is in the last half of a series than in the first, in %."""
    if len(volumes) < 2:
        return float("nan")
    half = len(volumes) // 2
    return float(100.0 * (volumes[half:].mean() / volumes[:half].mean() - 1.0))

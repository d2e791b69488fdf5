"""Dimers exactly as sampled and judged by two public leaderboards, with their names of the metrics.

``mlip-arena``: Chiang et al., MLIP Arena (arXiv 2509.20630), task "homonuclear diatomics" (``flows/diatomics.py``).
Two atoms without periodicity, from 0.9 covalent radii to 3.1 van der Waals radii (Alvarez 2013; 6 angstrom where there
is none), int((r_max - r_min) / 0.01) even distances, all of which are judged. Means over elements leave out NaN.

``matbench-discovery``: Riebesell et al., ``models/run_diatomics.py`` and ``metrics/diatomics`` (state of 2026). Two
atoms in a periodic cube of 50 angstrom, effectively isolated below a cutoff of 44 angstrom; 119 distances in a
geometric series from 0.1 to 6 angstrom, of which those between 0.9 covalent and 3.1 van der Waals radii are judged (6
angstrom where there is none); left out are elements beyond uranium or not in the Materials Project, curves with fewer
than 5 such distances and curves not finite there. Means have four digits.

Both judge pairs of like atoms only. For two elements the radii are averaged here, which neither leaderboard does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, get_args

import numpy as np

from keel.atoms.elements import atomic_number
from keel.atoms.frame import Array
from keel.errors import ConfigError
from keel.evaluation.clusters import dimer_metrics as metric
from keel.evaluation.clusters import dimer_reference as against
from keel.evaluation.clusters.dimers import DimerCurve, dimer_curve
from keel.potentials.base import Potential

Leaderboard = Literal["mlip-arena", "matbench-discovery"]
LEADERBOARDS: tuple[Leaderboard, ...] = get_args(Leaderboard)

ARENA_R_MAX = 6.0
"""Radius in angstrom if there is no van der Waals radius."""

MBD_DISTANCES: Array = np.geomspace(0.1, 6.0, 119)
MBD_LAST_ELEMENT = 92
MBD_ABSENT = frozenset({84, 85, 86, 87, 88})
"""Po, At, Rn, Fr and Ra are not in the Materials Project."""


def leaderboard_distances(first: int | str, second: int | str, leaderboard: Leaderboard) -> Array:
    """Return the distances in angstrom, shape (K,), at which a leaderboard evaluates two elements.

    Raises
    ------
    ConfigError
        If there is no such leaderboard.
    """
    if leaderboard == "matbench-discovery":
        return MBD_DISTANCES
    if leaderboard != "mlip-arena":
        raise ConfigError(f"{leaderboard!r} is not a leaderboard; choose {' or '.join(LEADERBOARDS)}")
    lower, upper = metric.leaderboard_window(atomic_number(first), atomic_number(second), r_max=np.inf)
    upper = upper if np.isfinite(upper) else ARENA_R_MAX
    return np.linspace(lower, upper, int((upper - lower) / 0.01))


def leaderboard_curve(
    potential: Potential, first: int | str, second: int | str, leaderboard: Leaderboard
) -> DimerCurve:
    """Return the curve of a pair at a leaderboard's distances, in the potential's precision (both take float64).

    Parameters
    ----------
    potential
        Any potential.
    first, second
        Symbols or atomic numbers.
    leaderboard
        ``"mlip-arena"`` or ``"matbench-discovery"``.

    Raises
    ------
    ConfigError, DataError
        If there is no such leaderboard, or the potential does not know an element.
    """
    return dimer_curve(potential, first, second, leaderboard_distances(first, second, leaderboard))


def leaderboard_metrics(
    curve: DimerCurve, leaderboard: Leaderboard, reference: DimerCurve | None = None
) -> dict[str, float]:
    """Return a leaderboard's metrics of a curve at its distances; empty where it leaves the curve out.

    Metrics that are not defined, and all of a curve for MLIP Arena that is not finite, are NaN.

    Parameters
    ----------
    curve
        A curve at the distances of the leaderboard.
    leaderboard
        ``"mlip-arena"`` or ``"matbench-discovery"``.
    reference
        A DFT curve of the pair (PBE on both leaderboards), for the metrics ``pbe-*`` and ``pbe_*``.

    Raises
    ------
    ConfigError
        If there is no such leaderboard.
    """
    if leaderboard == "mlip-arena":
        return _arena(curve, reference)
    if leaderboard != "matbench-discovery":
        raise ConfigError(f"{leaderboard!r} is not a leaderboard; choose {' or '.join(LEADERBOARDS)}")
    return _mbd(curve, reference)


def leaderboard_means(metrics: Iterable[Mapping[str, float]], leaderboard: Leaderboard) -> dict[str, float]:
    """Return the means over elements as a leaderboard shows them; metrics that are finite nowhere are left out."""
    columns: dict[str, list[float]] = {}
    for row in metrics:
        for name, value in row.items():
            if np.isfinite(value):
                columns.setdefault(name, []).append(value)
    means = {name: float(np.mean(values)) for name, values in columns.items()}
    return {k: float(f"{v:.4}") for k, v in means.items()} if leaderboard == "matbench-discovery" else means


def _inside(curve: DimerCurve, r_max: float, covalent_share: float = 0.9, margin: float = 0.0) -> DimerCurve:
    lower, upper = metric.leaderboard_window(*curve.numbers, r_max, covalent_share)
    return curve.window(lower - margin, upper)


def _arena(curve: DimerCurve, reference: DimerCurve | None) -> dict[str, float]:
    r, e, f = curve.r, curve.energy, curve.force
    functions: dict[str, Callable[[], float]] = {
        "force-flip-times": lambda: metric.force_flips(f),
        "force-total-variation": lambda: metric.force_total_variation(f),
        "force-jump": lambda: metric.force_jump(f),
        "energy-diff-flip-times": lambda: metric.energy_flips(e),
        "energy-grad-norm-max": lambda: metric.energy_gradient_max(r, e),
        "energy-jump": lambda: metric.energy_jump(e),
        "energy-total-variation": lambda: metric.energy_total_variation(e),
        "tortuosity": lambda: metric.tortuosity(e),
        "conservation-deviation": lambda: metric.conservation_deviation(r, e, f),
        "spearman-descending-force": lambda: metric.spearman_force_descending(r, f),
        "spearman-ascending-force": lambda: metric.spearman_force_ascending(r, f),
        "spearman-repulsion-energy": lambda: metric.spearman_repulsion(r, e),
        "spearman-attraction-energy": lambda: metric.spearman_attraction(r, e),
    }
    if reference is not None:
        functions["pbe-energy-mae"] = lambda: against.spline_energy_mae(curve, reference)
        functions["pbe-force-mae"] = lambda: against.spline_force_mae(curve, reference)
    finite = np.isfinite(e).all() and np.isfinite(f).all()
    return {name: float(function()) if finite else float("nan") for name, function in functions.items()}


def _mbd(curve: DimerCurve, reference: DimerCurve | None) -> dict[str, float]:
    judged = _inside(curve, float(curve.r[-1]))
    e, f = judged.energy, judged.force
    absent = any(z in MBD_ABSENT or z > MBD_LAST_ELEMENT for z in curve.numbers)
    if absent or len(e) < 5 or not (np.isfinite(e).all() and np.isfinite(f).all()):
        return {}
    metrics: dict[str, float] = {
        "tortuosity": metric.tortuosity(e),
        "energy_diff_flips": float(metric.energy_flips(e)),
        "energy_jump": metric.energy_jump(e),
        "force_flips": float(metric.force_flips(f)),
        "force_total_variation": metric.force_total_variation(f),
        "force_jump": metric.force_jump(f),
    }
    return metrics | ({} if reference is None else _mbd_reference(curve, judged, reference))


def _mbd_reference(curve: DimerCurve, judged: DimerCurve, reference: DimerCurve) -> dict[str, float]:
    dft = _inside(reference, float(curve.r[-1]))
    own = _inside(reference, float(reference.r[-1]))
    if len(dft.r) < 2 or against.too_rough(own):
        return {}
    wall = (_inside(c, float(curve.r[-1]), covalent_share=0.8, margin=1e-12) for c in (curve, reference))
    return {
        "pbe_wall_dist_mae": against.wall_distance_mae(*wall),
        "pbe_energy_mae": against.energy_mae(judged, dft),
        "pbe_bond_length_error": against.bond_length_error(judged, dft),
        "pbe_well_depth_error": against.well_depth_error(judged, dft),
        "pbe_vib_freq_error": against.vibration_error(judged, dft),
        "pbe_force_mae": against.force_mae(judged, dft),
    }

"""How far a dimer curve is from a DFT curve of the same pair, as public leaderboards measure it.

``spline_*`` are those of MLIP Arena (arXiv 2509.20630, ``flows/diatomics.py``), all others those of matbench-discovery
(``metrics/diatomics/energy.py`` and ``force.py``), which call the reference PBE. Every function takes the predicted
curve first, both in the window that is judged.
"""

from __future__ import annotations

import numpy as np
from ase import units

from keel.atoms.elements import MASSES
from keel.atoms.frame import Array
from keel.evaluation.clusters import dimer_metrics as metric
from keel.evaluation.clusters.dimers import DimerCurve

WALL_HEIGHTS = (1.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""Energies above the minimum in eV at which walls are compared."""

BOUND = 0.05
"""A shallower reference, in eV, has neither bond length nor well."""

N_POINTS = 200
"""Points of the even grid on which curves are compared, over their common distances."""


def spline_energy_mae(curve: DimerCurve, reference: DimerCurve) -> float:
    """Return mean |E - E_ref| in eV at the distances of the curve, the reference splined; both are 0 at their ends."""
    from scipy.interpolate import UnivariateSpline

    expected = UnivariateSpline(reference.r, reference.energy - reference.energy[-1], s=0)(curve.r)
    return float(np.abs(curve.energy - curve.energy[-1] - expected).mean())


def spline_force_mae(curve: DimerCurve, reference: DimerCurve) -> float:
    """Return mean |F - F_ref| in eV/angstrom at the distances of the curve, the reference splined."""
    from scipy.interpolate import UnivariateSpline

    return float(np.abs(curve.force - UnivariateSpline(reference.r, reference.force, s=0)(curve.r)).mean())


def too_rough(reference: DimerCurve) -> bool:
    """Whether a reference is too rough to compare with: energy jumps of 1.5 eV, and three changes of direction."""
    if len(reference.r) < 5:
        return False
    if not np.isfinite(reference.energy).all():
        return True
    return metric.energy_jump(reference.energy) >= 1.5 and metric.energy_flips(reference.energy) >= 3


def wall_distance_mae(curve: DimerCurve, reference: DimerCurve) -> float:
    """Return the mean difference in angstrom of the distances at which the walls rise to :data:`WALL_HEIGHTS`.

    Heights that the reference does not reach are left out; a height that only the curve does not reach counts as off by
    the whole distance.
    """
    errors = []
    for height in WALL_HEIGHTS:
        expected, found = wall_distance(reference, height), wall_distance(curve, height)
        if np.isfinite(expected):
            errors.append(abs(found - expected) if np.isfinite(found) else expected)
    return float(np.mean(errors)) if errors else float("nan")


def wall_distance(curve: DimerCurve, height: float) -> float:
    """Return the distance in angstrom at which E rises ``height`` eV above its minimum, inwards; NaN if it does not."""
    lowest = int(curve.energy.argmin())
    inward, r = curve.energy[lowest::-1] - curve.energy[lowest], curve.r[lowest::-1]
    climbed, first = np.unique(np.maximum.accumulate(inward), return_index=True)
    if len(climbed) < 2 or height > climbed[-1]:
        return float("nan")
    return float(np.interp(height, climbed, r[first]))


def energy_mae(curve: DimerCurve, reference: DimerCurve) -> float:
    """Return mean |E - E_ref| in eV on the common grid, both 0 at its end."""
    found, expected = (_on_common_grid(c.r, c.energy, curve, reference) for c in (curve, reference))
    return float(np.abs(found - found[-1] - expected + expected[-1]).mean())


def force_mae(curve: DimerCurve, reference: DimerCurve) -> float:
    """Return the mean absolute error of force components in eV/angstrom on the common grid; two of three are zero."""
    found, expected = (_on_common_grid(c.r, c.force, curve, reference) for c in (curve, reference))
    return float(np.abs(found - expected).mean() / 3)


def bond_length_error(curve: DimerCurve, reference: DimerCurve) -> float:
    """Return the difference of the bond lengths in angstrom; NaN if the reference is not :data:`BOUND`."""
    if _depth(reference) < BOUND:
        return float("nan")
    return abs(bottom(curve)[0] - bottom(reference)[0])


def well_depth_error(curve: DimerCurve, reference: DimerCurve) -> float:
    """Return the difference of E(last r) - E_min in eV; NaN if the reference is not :data:`BOUND`."""
    return abs(_depth(curve) - _depth(reference)) if _depth(reference) >= BOUND else float("nan")


def vibration_error(curve: DimerCurve, reference: DimerCurve) -> float:
    """Return the difference of the harmonic wavenumbers in 1/cm; NaN where one has no well."""
    if _depth(reference) < BOUND:
        return float("nan")
    first, second = (MASSES[z] for z in curve.numbers)
    mass = first * second / (first + second)
    found, expected = (np.sqrt(max(bottom(c)[1], 0.0) / mass) or np.nan for c in (curve, reference))
    # sqrt(eV/u)/angstrom is ASE's unit of angular frequency; invcm is an energy.
    return float(abs(found - expected) * units._hbar * units.J * units.s / units.invcm)


def bottom(curve: DimerCurve) -> tuple[float, float]:
    """Return position and curvature (eV/angstrom^2) of a parabola through the five points about the minimum.

    NaN for the curvature if it does not open upwards or there are fewer than three points; the place of the lowest
    point then, and where the vertex lies outside the five.
    """
    lowest = int(curve.energy.argmin())
    start = min(max(0, lowest - 2), max(0, len(curve.r) - 5))
    r, energy = curve.r[start : start + 5], curve.energy[start : start + 5]
    if len(r) < 3:
        return float(curve.r[lowest]), float("nan")
    a, b, _ = np.polyfit(r, energy, 2)
    if a <= 0:
        return float(curve.r[lowest]), float("nan")
    vertex = -b / (2 * a)
    return float(vertex if r[0] <= vertex <= r[-1] else curve.r[lowest]), float(2 * a)


def _depth(curve: DimerCurve) -> float:
    return float(curve.energy[-1] - curve.energy.min())


def _on_common_grid(r: Array, values: Array, curve: DimerCurve, reference: DimerCurve) -> Array:
    lower, upper = max(curve.r[0], reference.r[0]), min(curve.r[-1], reference.r[-1])
    grid = np.linspace(lower, upper, N_POINTS)
    return np.interp(grid, r, values)

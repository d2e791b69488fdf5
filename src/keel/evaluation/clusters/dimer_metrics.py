"""Metrics of a dimer curve, as MLIP Arena and matbench-discovery define them.

Each is a pure function of ascending distances r (angstrom), energies E (eV) and radial forces F = -dE/dr (eV/angstrom,
positive = repulsive). Sources: Chiang et al., MLIP Arena (arXiv 2509.20630), task "homonuclear diatomics"; Riebesell et
al., matbench-discovery, metrics/diatomics. Differences of two samples depend on the sampling: numbers can be compared
with a leaderboard's only at its own distances (see :mod:`keel.evaluation.clusters.leaderboards`).
"""

from __future__ import annotations

import numpy as np
from ase.data import vdw_alvarez

from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Array

ENERGY_THRESHOLD = 1e-3  # eV: smaller steps are noise, not a change of direction
FORCE_THRESHOLD = 1e-2  # eV/angstrom


def leaderboard_window(first: int, second: int, r_max: float = 8.0, covalent_share: float = 0.9) -> tuple[float, float]:
    """Return the range of distances that leaderboards judge: 0.9 covalent radii to 3.1 van der Waals radii.

    For two elements the radii are averaged (both leaderboards only judge like pairs). Without a van der Waals radius
    (Alvarez 2013) the upper end is ``r_max``, which it never exceeds.
    """
    vdw = vdw_alvarez.vdw_radii
    covalent = 0.5 * (COVALENT_RADII[first] + COVALENT_RADII[second])
    radii = [vdw[z] if z < len(vdw) else np.nan for z in (first, second)]
    upper = 3.1 * float(np.mean(radii))
    return covalent_share * float(covalent), min(upper, r_max) if np.isfinite(upper) else r_max


def tortuosity(energy: Array) -> float:
    """Return sum |dE| / (|E_first - E_min| + |E_last - E_min|), dimensionless.

    1: one repulsive and at most one attractive branch (any Lennard-Jones); above: wiggles, barriers, holes. NaN for a
    flat curve.
    """
    chord = (energy[0] - energy.min()) + (energy[-1] - energy.min())
    return float(np.abs(np.diff(energy)).sum() / chord) if chord > 0 else float("nan")


def energy_flips(energy: Array) -> int:
    """Return how often E changes between rising and falling, steps below 1 meV left out; 1 for one well, 0 for none."""
    return int(_flips(_steps(energy, ENERGY_THRESHOLD)).sum())


def energy_jump(energy: Array) -> float:
    """Return the sum of the two |dE| beside every change of direction of E in eV (steps below 1 meV left out).

    Near 0 for a smooth curve that is finely sampled, large where E jumps back and forth; 0 for a monotonic curve.
    """
    steps = _steps(energy, ENERGY_THRESHOLD)
    flip = _flips(steps)
    return float(np.abs(steps[:-1][flip]).sum() + np.abs(steps[1:][flip]).sum())


def energy_gradient_max(r: Array, energy: Array) -> float:
    """Return max |dE/dr| in eV/angstrom, by central differences."""
    return float(np.abs(np.gradient(energy, r)).max())


def energy_total_variation(energy: Array) -> float:
    """Return sum |dE| in eV."""
    return float(np.abs(np.diff(energy)).sum())


def force_flips(force: Array) -> int:
    """Return how often F changes sign, |F| below 10 meV/angstrom left out; 1 for one well, 0 for pure repulsion."""
    strong = np.where(np.abs(force) < FORCE_THRESHOLD, 0.0, force)
    return int(_flips(strong[strong != 0]).sum())


def force_jump(force: Array) -> float:
    """Return the sum of the two |dF| beside every change of direction of F in eV/angstrom; 0 for a monotonic force."""
    steps = _steps(force, 0.0)
    flip = _flips(steps)
    return float(np.abs(steps[:-1][flip]).sum() + np.abs(steps[1:][flip]).sum())


def force_total_variation(force: Array) -> float:
    """Return sum |dF| in eV/angstrom; grows with every wiggle, and with the height of the wall in the window."""
    return float(np.abs(np.diff(force)).sum())


def conservation_deviation(r: Array, energy: Array, force: Array) -> float:
    """Return mean |F + dE/dr| in eV/angstrom, dE/dr by central differences; 0 up to sampling errors if F = -dE/dr."""
    return float(np.abs(force + np.gradient(energy, r)).mean())


def spearman_repulsion(r: Array, energy: Array) -> float:
    """Return Spearman's rank correlation of r and E from the smallest r to the minimum of E, the outermost of equals.

    -1: E only rises towards short distances; NaN if the minimum is at the smallest r: there is no wall.
    """
    return _spearman(r, energy, slice(0, _outermost_minimum(energy) + 1))


def spearman_attraction(r: Array, energy: Array) -> float:
    """Return Spearman's rank correlation of r and E beyond the minimum of E: +1 if E only rises; NaN if it is last."""
    return _spearman(r, energy, slice(_outermost_minimum(energy) + 1, None))


def spearman_force_descending(r: Array, force: Array) -> float:
    """Return Spearman's rank correlation of r and F from the smallest r to the minimum of F: -1 if F only falls."""
    return _spearman(r, force, slice(0, _outermost_minimum(force) + 1))


def spearman_force_ascending(r: Array, force: Array) -> float:
    """Return Spearman's rank correlation of r and F beyond the minimum of F: +1 if F only rises."""
    return _spearman(r, force, slice(_outermost_minimum(force) + 1, None))


def wall_position(r: Array, energy: Array, height: float = 10.0) -> float:
    """Return the distance in angstrom at which E, coming from its minimum inwards, first is ``height`` eV above it.

    Linear between samples. NaN where the curve never rises so high: an open wall, through which atoms fuse.
    """
    inward = energy[: int(energy.argmin()) + 1][::-1] - energy.min()
    above = np.flatnonzero(inward >= height)
    if above.size == 0:
        return float("nan")
    k, r_inward = int(above[0]), r[: int(energy.argmin()) + 1][::-1]
    share = (height - inward[k - 1]) / (inward[k] - inward[k - 1])
    return float(r_inward[k - 1] + share * (r_inward[k] - r_inward[k - 1]))


def repulsive_from(r: Array, force: Array, height: float = 1.0) -> float:
    """Return the smallest distance from which F stays repulsive up to the outermost F of ``height`` eV/angstrom.

    It is the smallest r of the curve for a sound wall; larger means a hole below it, in which atoms fuse. NaN where F
    never reaches ``height``.
    """
    strong = np.flatnonzero(force >= height)
    if strong.size == 0:
        return float("nan")
    attractive = np.flatnonzero(force[: strong[-1]] <= 0)
    return float(r[attractive[-1] + 1] if attractive.size else r[0])


def _steps(values: Array, threshold: float) -> Array:
    steps = np.diff(values)
    return steps[np.abs(steps) > threshold] if threshold == 0 else steps[np.abs(steps) >= threshold]


def _flips(values: Array) -> np.ndarray:
    return np.asarray(np.diff(np.sign(values)) != 0)


def _outermost_minimum(values: Array) -> int:
    # Among equal values, as beyond a cutoff, leaderboards take the outermost: they sort from far to near.
    return len(values) - 1 - int(values[::-1].argmin())


def _spearman(r: Array, values: Array, branch: slice) -> float:
    from scipy.stats import spearmanr

    if len(r[branch]) < 2 or np.ptp(values[branch]) == 0:
        return float("nan")
    return float(spearmanr(r[branch], values[branch]).statistic)

"""Where the wall and the well of a dimer are, and how far from those of a reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keel.evaluation.clusters.dimer_metrics import ENERGY_THRESHOLD
from keel.evaluation.clusters.dimers import DISTANCES, DimerCurve, dimer_curve
from keel.potentials.base import Potential

HEIGHT = 10.0
"""Energy in eV above the separated atoms that defines the wall: collisions at 10,000 K hardly reach it."""
FINER = 20
"""Points per point of a reference."""

WALL_APART = 0.2
"""Farthest that a wall may be from that of a reference, in angstrom: EAMs fitted to data of a pair are at 0.07 to 0.18
from PBE's on average (docs/study.md), and within 0.2 PBE's own walls fall from 10 eV to 6 (Mg) or less."""
TOO_DEEP = 1.0
"""A well may be deeper than that of a reference by at most this, in eV: at 1500 K a pair bound by so much more stays
together 2,000 times as long."""
SHALLOW = 0.1
"""Where the bottom of a well less deep than this is, in eV, means nothing: at 1000 K atoms leave it at once."""


@dataclass(frozen=True)
class Landmarks:
    """The wall and the well of two atoms.

    Parameters
    ----------
    wall
        The outermost distance in angstrom at which the energy is :data:`HEIGHT` above that of the atoms apart; NaN if
        it never is.
    well
        The distance in angstrom of the lowest energy outside the wall; NaN if nothing binds.
    depth
        How far that energy is below that of the atoms apart in eV, at least 0.
    """

    wall: float
    well: float
    depth: float

    @classmethod
    def of(cls, curve: DimerCurve) -> Landmarks:
        """Find the landmarks of a curve, which takes its last distance for atoms apart; NaN if it is not finite."""
        r, energy = curve.r, curve.energy - curve.energy[-1]
        if not np.isfinite(energy).all():
            return cls(np.nan, np.nan, np.nan)
        high = np.flatnonzero(energy >= HEIGHT)
        wall, outside = np.nan, 0
        if high.size:
            outside = int(high[-1]) + 1
            pair = slice(outside - 1, outside + 1)
            wall = float(np.interp(-HEIGHT, -energy[pair], r[pair]))
        lowest = outside + int(energy[outside:].argmin())
        depth = max(0.0, -float(energy[lowest]))
        return cls(wall, float(r[lowest]) if depth > ENERGY_THRESHOLD else np.nan, depth)


@dataclass(frozen=True)
class Marked:
    """The landmarks of a potential beside those of a reference, whose curve begins at ``begins`` angstrom."""

    potential: Landmarks
    reference: Landmarks
    begins: float

    @property
    def difference(self) -> Landmarks:
        """Potential - reference: a wall too far out and a well too deep are positive.

        The positions of two wells are compared if both are deeper than :data:`SHALLOW`, else the difference is NaN.
        """
        ours, theirs = self.potential, self.reference
        apart = ours.well - theirs.well if min(ours.depth, theirs.depth) > SHALLOW else np.nan
        return Landmarks(ours.wall - theirs.wall, apart, ours.depth - theirs.depth)

    @property
    def beyond_limits(self) -> list[str]:
        """What the reference refutes, a clause for each: a wall elsewhere than its own, a well too deep.

        Only where the reference is: a wall that it does not reach may be anywhere nearer than its first distance, and
        so may a well. A well that is too shallow is none of it: atoms do not fuse in it.
        """
        ours, theirs, apart = self.potential, self.reference, self.difference
        if np.isnan(apart.depth):
            return []
        found, at_least = [], np.isnan(theirs.wall)
        wall = max(0.0, ours.wall - self.begins) if at_least else apart.wall
        limit = f"than that of the reference (at most {WALL_APART:g})"
        if np.isnan(ours.wall) and not at_least:
            found.append(f"there is no wall, but the reference has one at {theirs.wall:.3g} angstrom")
        elif abs(wall) > WALL_APART:
            where = f"{'at least ' if at_least else ''}{abs(wall):.2f} angstrom farther {'out' if wall > 0 else 'in'}"
            found.append(f"the wall is {where} {limit}")
        if apart.depth > TOO_DEEP and ours.well >= self.begins:
            found.append(f"the well is {apart.depth:.3g} eV deeper than that of the reference (at most {TOO_DEEP:g})")
        return found

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Return each landmark of the potential, the reference, and their difference."""
        names = {"wall": "wall_angstrom", "well": "well_angstrom", "depth": "well_depth_ev"}
        whose = {"potential": self.potential, "reference": self.reference, "difference": self.difference}
        return {name: {who: getattr(marks, key) for who, marks in whose.items()} for key, name in names.items()}


def marked(potential: Potential, reference: DimerCurve) -> Marked:
    """Return the landmarks of a potential beside those of labelled dimers of a pair.

    Both count energies from the last distance of the reference. Between its distances, the reference is the cubic that
    has its energies and forces.

    Raises
    ------
    DataError
        If the potential does not know the elements.
    """
    last = float(reference.r[-1])
    curve = dimer_curve(potential, *reference.numbers, np.append(DISTANCES[last - 1e-6 > DISTANCES], last))
    return Marked(Landmarks.of(curve), Landmarks.of(_finer(reference)), float(reference.r[0]))


def _finer(curve: DimerCurve) -> DimerCurve:
    from scipy.interpolate import CubicHermiteSpline

    n = len(curve.r)
    r = np.interp(np.linspace(0, n - 1, FINER * (n - 1) + 1), np.arange(n), curve.r)
    energy = CubicHermiteSpline(curve.r, curve.energy, -curve.force)
    return DimerCurve(curve.numbers, r, energy(r), -energy(r, 1))

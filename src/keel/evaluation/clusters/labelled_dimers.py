"""Dimer curves from labelled frames of two atoms, e.g. of DFT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Array, Frame
from keel.atoms.neighbours import neighbour_list
from keel.errors import DataError
from keel.evaluation.clusters.dimers import DimerCurve

FEWEST = 5
"""Fewest distances of a curve."""

IMAGES = 6.0
"""Every other image in a periodic cell must be this far away in angstrom, ..."""
IMAGES_SHARE = 1.5
"""... and this many times as far as the two atoms are from each other."""

SAME = 1e-6
"""Distances that differ by less than this, in angstrom, count as one."""


@dataclass(frozen=True)
class _Point:
    """A frame of two atoms: distance in angstrom, energy in eV, radial force in eV/angstrom (NaN without labels)."""

    numbers: tuple[int, int]
    r: float
    energy: float
    force: float
    source: str


def dimer_curves_of(frames: Structures) -> dict[str, DimerCurve]:
    """Return the curves of all pairs of elements in some frames of two atoms, by name of the pair (``"O-Si"``).

    Energies are zero at the largest distance. The force is (F_j - F_i) . (r_j - r_i) / (2 r); if a frame of the pair
    has no forces, it is minus the slope of a cubic spline through the energies of the pair.

    Parameters
    ----------
    frames
        With energies, in any order; those of one pair at different distances.

    Raises
    ------
    DataError
        If there is no frame, one does not have two atoms or has no energy, other images are near (closer than
        :data:`IMAGES`, or than :data:`IMAGES_SHARE` times the distance), or a pair has a distance twice or fewer than
        :data:`FEWEST` distances.
    """
    frames = as_frames(frames)
    pairs: dict[tuple[int, int], list[_Point]] = {}
    for frame in frames:
        point = _point(frame)
        pairs.setdefault(point.numbers, []).append(point)
    if not pairs:
        raise DataError("there is no frame of two atoms for a dimer curve")
    curves = [_curve(pairs[numbers]) for numbers in sorted(pairs)]
    return {curve.name: curve for curve in curves}


def _point(frame: Frame) -> _Point:
    if len(frame) != 2:
        raise DataError(f"{frame.source}: a dimer has two atoms, not {len(frame)}; leave this structure out")
    if frame.energy is None:
        raise DataError(f"{frame.source}: this dimer has no energy for a curve")
    vector = _bond(frame)
    r = float(np.linalg.norm(vector))
    force = np.nan if frame.forces is None else float((frame.forces[1] - frame.forces[0]) @ vector) / (2.0 * r)
    first, second = sorted(frame.numbers.tolist())
    return _Point((first, second), r, frame.energy, force, frame.source)


def _bond(frame: Frame) -> Array:
    """Return the vector from the first atom to the nearest image of the second, shape (3,)."""
    direct = float(np.linalg.norm(frame.positions[1] - frame.positions[0]))
    reach = max(IMAGES, IMAGES_SHARE * direct) + SAME
    (i, j), shifts = neighbour_list(frame.positions, frame.cell, frame.pbc, reach, half_list=True)
    vectors = frame.positions[j] + shifts @ frame.cell - frame.positions[i]
    distances = np.linalg.norm(vectors, axis=1)
    nearest = int(np.argmin(np.where(i != j, distances, np.inf)))
    r, others = distances[nearest], np.delete(distances, nearest)
    if r < SAME:
        raise DataError(f"{frame.source}: the two atoms of this dimer are at the same place")
    if others.size and others.min() < max(IMAGES, IMAGES_SHARE * r):
        raise DataError(
            f"{frame.source}: the next image is {others.min():.3g} angstrom away, too near for a dimer of {r:.3g}; "
            f"compute it in a cell with images at least {max(IMAGES, IMAGES_SHARE * r):.3g} angstrom apart, or without "
            "a cell"
        )
    return np.asarray(vectors[nearest] if i[nearest] == 0 else -vectors[nearest])


def _curve(points: Sequence[_Point]) -> DimerCurve:
    from scipy.interpolate import CubicSpline

    points = sorted(points, key=lambda point: point.r)
    r, energy, force = (np.array([getattr(p, name) for p in points]) for name in ("r", "energy", "force"))
    curve = DimerCurve(points[0].numbers, r, energy - energy[-1], force)
    for k in np.flatnonzero(np.diff(r) < SAME):
        raise DataError(
            f"{points[k + 1].source}: this dimer {curve.name} is as long, {r[k]:.6g} angstrom, as that of "
            f"{points[k].source}; leave one out"
        )
    if len(points) < FEWEST:
        raise DataError(
            f"{points[0].source}: there are only {len(points)} distances of {curve.name}; a curve needs {FEWEST}"
        )
    if np.isnan(force).any():
        return DimerCurve(curve.numbers, r, curve.energy, -CubicSpline(r, energy)(r, 1))
    return curve

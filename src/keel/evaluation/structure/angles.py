"""Do the atoms of a simulation keep the bond angles of the reference? Angles j-i-k of each triple of elements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.elements import COVALENT_RADII, pair_numbers, symbol
from keel.atoms.frame import Array, Frame
from keel.atoms.neighbours import neighbour_list
from keel.dynamics.results import Trajectory
from keel.errors import ConfigError, DataError
from keel.evaluation.check import CheckResult, Metric
from keel.evaluation.structure.rdf import rdf
from keel.evaluation.structure.recorded import (
    DISCARD,
    Distributions,
    check_reference,
    compared,
    failed_runs,
    judged_if_possible,
    noise_limit,
    settled_frames,
)

NAME = "bond angles"
BOND = 1.3
"""Atoms closer than this times the sum of their covalent radii are bonded."""

LARGEST_ERROR = 0.1
"""Share of the angles that may differ if the noise is smaller. Angles are less sensitive than distances: of the 66
couples of those 12 zeolites (``LARGEST_ERROR`` of :mod:`~keel.evaluation.structure.pair_structure`) 54 fail by angles,
64 by distances."""

ALL = "all angles"
"""Name of the error over all triples of elements together, which also counts angles that the reference does not
have."""


def bond_angles(
    trajectories: Sequence[Trajectory],
    reference: Structures,
    *,
    bonds: Mapping[str, float] | None = None,
    n_bins: int = 90,
    discard: float = DISCARD,
    by: str | None = None,
) -> CheckResult:
    """Compare the distributions p of the angle j-i-k between two bonds of atom i with those of the reference.

    The error is the total variation, (1/2) int |p - p_ref| dtheta in [0, 1]: the share of angles that would have to
    change. It passes if no triple of elements is off by more than :data:`LARGEST_ERROR`, or by more than three
    times what is expected of noise, found from the halves of the reference
    (:mod:`keel.evaluation.structure.recorded`), whichever is larger; a triple for which that is more than 0.5 is not
    judged.

    Parameters
    ----------
    trajectories
        With recorded structures, at the temperature of the reference.
    reference
        Frames or a trajectory in order of time, of the same structures.
    bonds
        Longest bond by pair of elements in angstrom, e.g. ``{"O-Si": 2.2}``; pairs not named have none. None:
        :data:`BOND` times the sum of covalent radii, or, where no atoms are so near, the first minimum of g(r).
    n_bins
        Of the histogram from 0 to 180 degrees.
    discard, by
        See :func:`~keel.evaluation.structure.pair_structure.pair_structure`.

    Raises
    ------
    ConfigError, DataError
        If there are no bins; if nothing was recorded, or the reference is of other elements, or has no bonds.
    """
    reference = as_frames(reference, labels=False)
    if n_bins < 1:
        raise ConfigError("the histogram of angles needs at least one bin")
    frames = settled_frames(trajectories, discard)
    check_reference(reference)
    longest = bond_matrix(bonds) if bonds is not None else usual_bonds(reference)
    comparison = compared(frames, reference, lambda p: angle_distribution(p, longest, n_bins), by, shares=True)
    if not comparison.reference:
        return CheckResult(NAME, (), (), "skipped", "no atom of the reference has two bonds")
    found, noise = comparison.errors(total_variations), comparison.noise(total_variations)
    errors = [Metric(f"{t} error", e, "", noise_limit(LARGEST_ERROR, noise.get(t), 0.5)) for t, e in found.items()]
    others = [Metric(f"{triple} expected noise", value) for triple, value in noise.items()]
    centres = (np.arange(n_bins) + 0.5) * 180.0 / n_bins
    return judged_if_possible(
        NAME,
        errors,
        [*others, failed_runs(trajectories)],
        comparison.curves(list(comparison.reference), centres, "angle (degrees)", "share of all angles (1/degree)"),
        "angles are not those of the reference",
    )


def total_variations(reference: Distributions, simulated: Distributions) -> dict[str, float]:
    """Return (1/2) int |p - p_ref| dtheta of each triple of the reference, each normalised, and of all together."""
    found = {}
    for name, expected in reference.items():
        p = simulated.get(name, np.zeros_like(expected))
        found[name] = 0.5 * float(np.abs(_normalised(p) - _normalised(expected)).sum()) if p.any() else 1.0
    every = [simulated.get(n, 0.0) - reference.get(n, np.zeros(1)) for n in {**reference, **simulated}]
    sizes = [sum(float(p.sum()) for p in d.values()) for d in (reference, simulated)]
    apart = 0.5 * sum(float(np.abs(d).sum()) for d in every) / max(*sizes, np.finfo(float).tiny)
    return {**found, ALL: apart if min(sizes) > 0 else 1.0}


def angle_distribution(frames: Sequence[Frame], longest: Array, n_bins: int) -> dict[str, Array]:
    """Return the share of all angles per degree by triple (``"O-Si-O"``, the centre in the middle), shape (n_bins,).

    Together they integrate to 1.
    """
    counts: dict[int, Array] = defaultdict(lambda: np.zeros(n_bins))
    for frame in frames:
        degrees, code = angles(frame, longest)
        bins = np.minimum((degrees * n_bins / 180.0).astype(np.int64), n_bins - 1)
        for kind in np.unique(code):
            counts[int(kind)] += np.bincount(bins[code == kind], minlength=n_bins)
    total = sum(float(c.sum()) for c in counts.values()) * 180.0 / n_bins
    return {_triple(kind): counts[kind] / total for kind in sorted(counts)}


def angles(frame: Frame, longest: Array) -> tuple[Array, NDArray[np.int64]]:
    """Return the angles between each pair of bonds of an atom in degrees (A,), and a code of their elements (A,).

    Parameters
    ----------
    longest
        Longest bond in angstrom by two atomic numbers, shape (Z, Z).
    """
    z = frame.numbers
    (i, j), shifts = neighbour_list(frame.positions, frame.cell, frame.pbc, _reach(longest, z))
    vectors = frame.positions[j] - frame.positions[i] + shifts @ frame.cell
    lengths = np.linalg.norm(vectors, axis=1)
    bonded = (lengths < longest[z[i], z[j]]) & (lengths > 0)
    i, j, directions = i[bonded], j[bonded], vectors[bonded] / lengths[bonded, None]
    first, second = pairs_of_a_kind(i)
    cosines = np.einsum("ad,ad->a", directions[first], directions[second])
    ends = np.sort(np.stack([z[j[first]], z[j[second]]]), axis=0)
    size = len(longest)
    code = (z[i[first]] * size + ends[0]) * size + ends[1]
    return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0))), code


def pairs_of_a_kind(i: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return indices e < f of every pair of equal members of a sorted array, without a loop over them."""
    places = np.arange(len(i))
    later = np.searchsorted(i, i, side="right") - places - 1
    first = np.repeat(places, later)
    started = np.repeat(np.cumsum(later) - later, later)
    return first, first + 1 + np.arange(len(first)) - started


def usual_bonds(frames: Sequence[Frame]) -> Array:
    """Return the longest bonds in angstrom by two atomic numbers, shape (Z, Z); see :func:`bond_angles`."""
    usual: Array = BOND * (COVALENT_RADII[:, None] + COVALENT_RADII)
    if any(len(angles(frame, usual)[0]) for frame in frames):
        return usual
    g = rdf(frames, r_max=10.0, n_bins=200)
    return bond_matrix({pair: first_minimum(g.r, g.g[pair]) for pair in g.pairs})


def first_minimum(r: Array, g: Array) -> float:
    """Return where g(r), smoothed over 0.1 angstrom, is lowest between its first two peaks, in the middle of a gap.

    Raises
    ------
    DataError
        If it does not have two peaks.
    """
    from scipy.ndimage import gaussian_filter1d

    smooth = gaussian_filter1d(g, 0.1 / (r[1] - r[0]))
    above = smooth > 1.0
    start = int(np.argmax(above))
    valley = start + int(np.argmin(above[start:]))
    end = valley + int(np.argmax(above[valley:]))
    if not start < valley < end:
        raise DataError(
            "g(r) of the reference has no first minimum that separates bonds from other distances; give bonds"
        )
    lowest = smooth[valley:end].min()
    return float(np.median(r[valley:end][smooth[valley:end] <= lowest + 1e-3]))


def bond_matrix(bonds: Mapping[str, float]) -> Array:
    """Return the longest bonds (Z, Z) from those by pair of elements.

    Raises
    ------
    ConfigError, DataError
        If a name is not a pair of elements, or a length is not positive.
    """
    longest = np.zeros((len(COVALENT_RADII), len(COVALENT_RADII)))
    for pair, length in bonds.items():
        a, b = pair_numbers(pair)
        if not length > 0:
            raise ConfigError(f"bonds: the length of {pair} must be positive, not {length}")
        longest[a, b] = longest[b, a] = length
    return longest


def _reach(longest: Array, numbers: NDArray[np.int64]) -> float:
    elements = np.unique(numbers)
    # No bond between these elements: any short list will do.
    return float(longest[np.ix_(elements, elements)].max(initial=0.0)) or 0.1


def _normalised(p: Array) -> Array:
    normalised: Array = p / p.sum()
    return normalised


def _triple(code: int) -> str:
    size = len(COVALENT_RADII)
    return "-".join(symbol(z) for z in (code // size % size, code // size**2, code % size))

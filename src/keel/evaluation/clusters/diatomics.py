"""Are the dimers of all pairs sound: a wall without holes, smooth, with forces that are slopes?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations_with_replacement

import numpy as np
import torch

from keel.atoms.elements import COVALENT_RADII, atomic_numbers_of, pair_name
from keel.atoms.frame import Array
from keel.errors import DataError
from keel.evaluation.check import CheckResult, Curve, Metric
from keel.evaluation.clusters.dimers import DISTANCES, DimerCurve, dimer_curve
from keel.evaluation.clusters.leaderboards import (
    LEADERBOARDS,
    Leaderboard,
    leaderboard_curve,
    leaderboard_means,
    leaderboard_metrics,
)
from keel.evaluation.clusters.scans import Scan, judged_scans
from keel.evaluation.probing import in_precision
from keel.potentials.base import Potential

CROWDED = 0.5
"""Two atoms overlap if closer than this fraction of the sum of their covalent radii; simulations end there too."""

BOND_HEIGHT = 5.0
"""The bonding window reaches from where the reference is this high above its minimum, in eV, ..."""
BOND_LENGTH = 1.5
"""... to this times the distance of its minimum."""


def diatomics(
    potential: Potential,
    elements: Iterable[int | str] | None = None,
    *,
    leaderboards: Sequence[Leaderboard] = LEADERBOARDS,
    beside: Potential | None = None,
    dft: Mapping[str, DimerCurve] | None = None,
    dtype: torch.dtype = torch.float64,
) -> CheckResult:
    """Judge the dimers of all pairs of some elements, with the metrics of public leaderboards for information.

    It passes if every pair, from 0.1 to 8 angstrom, is finite; rises by 10 eV to a wall, and repels from there inwards,
    and below half the sum of covalent radii, without a hole in which atoms would fuse; and has outside the wall forces
    that are the slope of the energy, and no jumps. Tortuosity, flips and correlations are given: means over the pairs
    of like atoms, each leaderboard's at its own distances, in its window, with its thresholds
    (:mod:`keel.evaluation.clusters.leaderboards`).

    Parameters
    ----------
    elements
        None: all that the potential knows.
    leaderboards
        Leaderboards whose metrics are given.
    beside
        A potential whose curves are also drawn, for comparison.
    dft
        DFT curves, also drawn, for comparison, by name of the pair (``"O-Si"``), see
        :func:`keel.evaluation.dimer_curves_of`. Their energies are zero at their last distance, and so are those
        compared with them.
    dtype
        Precision of the test; float32 for a potential that always computes in it.

    Raises
    ------
    ConfigError
        If there is no such leaderboard or precision.
    DataError
        If no elements are given and the potential knows all, it does not know one of them, or no pair has a DFT curve.
    """
    model = in_precision(potential, dtype)
    pairs = list(combinations_with_replacement(known_elements(model, elements), 2))
    scans = [dimer_scan(model, *pair) for pair in pairs]
    expected = _among(pairs, dft or {})
    noted = _on_leaderboards(model, pairs, leaderboards, expected)
    other = [] if beside is None else [dimer_curve(in_precision(beside, dtype), *pair) for pair in pairs]
    curves = [curve for scan in scans for curve in scan.curves("r (angstrom)")]
    curves += _drawn(other, "reference") + _drawn(expected, "DFT")
    differences = _differences(model, other, "the reference") + _differences(model, expected, "DFT")
    return judged_scans(
        "diatomics",
        scans,
        dtype,
        wall=True,
        noted=(*differences, *noted),
        curves=curves,
        good=f"every pair repels down to {DISTANCES[0]:g} angstrom without hole or jump, {len(pairs)} in all",
    )


def judged_dimer(potential: Potential, first: int, second: int, *, dtype: torch.dtype = torch.float64) -> CheckResult:
    """Judge the dimer of one pair of elements as :func:`diatomics` does."""
    scan = dimer_scan(in_precision(potential, dtype), first, second)
    good = f"{scan.name} repels down to {DISTANCES[0]:g} angstrom without hole or jump"
    return judged_scans(scan.name, [scan], dtype, wall=True, good=good)


def known_elements(potential: Potential, elements: Iterable[int | str] | None) -> list[int]:
    """Return atomic numbers, ascending; None: all that the potential knows.

    Raises
    ------
    DataError
        If no elements are given and the potential knows all, or there are no elements.
    """
    if elements is None and potential.elements is None:
        raise DataError(f"a {type(potential).__name__} takes every element; name the elements to probe")
    found = sorted(set(atomic_numbers_of((potential.elements if elements is None else elements) or ())))
    if not found:
        raise DataError("there is no element to probe the potential with; name at least one")
    return found


def overlap(first: int, second: int) -> float:
    """Return the distance in angstrom below which two atoms overlap."""
    return float(CROWDED * (COVALENT_RADII[first] + COVALENT_RADII[second]))


def dimer_scan(potential: Potential, first: int, second: int) -> Scan:
    """Return the dimer of two elements as a path from 0.1 to 8 angstrom."""

    def along(r: Array) -> Array:
        curve = dimer_curve(potential, first, second, r)
        return np.stack([curve.energy, curve.force])

    return Scan(pair_name(first, second), DISTANCES, along, overlap(first, second))


def _on_leaderboards(
    model: Potential,
    pairs: Sequence[tuple[int, int]],
    leaderboards: Sequence[Leaderboard],
    expected: Sequence[DimerCurve],
) -> list[Metric]:
    found = []
    for leaderboard in leaderboards:
        curves = [leaderboard_curve(model, a, b, leaderboard) for a, b in pairs if a == b]
        rows = [leaderboard_metrics(curve, leaderboard, _counterpart(curve, leaderboard, expected)) for curve in curves]
        means = leaderboard_means(rows, leaderboard)
        found += [Metric(f"{leaderboard}: {name}", value, _unit(name)) for name, value in means.items()]
    return found


def _counterpart(curve: DimerCurve, leaderboard: Leaderboard, expected: Sequence[DimerCurve]) -> DimerCurve | None:
    """Return the curve of DFT to judge another by; None where MLIP Arena would extrapolate its spline."""
    for found in expected:
        covers = found.r[0] <= curve.r[0] and curve.r[-1] <= found.r[-1]
        if found.numbers == curve.numbers and (covers or leaderboard != "mlip-arena"):
            return found
    return None


def _unit(name: str) -> str:
    """Return the unit of a leaderboard's metric by its name."""
    words = name.replace("_", "-")
    if "flip" in words or "spearman" in words or words == "tortuosity":
        return ""
    if "force" in words or "grad" in words or "conservation" in words:
        return "eV/angstrom"
    return "angstrom" if "dist" in words or "length" in words else "1/cm" if "vib" in words else "eV"


def _among(pairs: Sequence[tuple[int, int]], dft: Mapping[str, DimerCurve]) -> list[DimerCurve]:
    found = [curve for curve in dft.values() if curve.numbers in pairs]
    if dft and not found:
        raise DataError(f"there are dimer curves of {', '.join(dft)}, none of which is probed")
    return found


def _drawn(curves: Sequence[DimerCurve], whose: str) -> list[Curve]:
    return [Curve(f"{whose} {c.name}", c.r, c.energy, "r (angstrom)", "energy (eV)") for c in curves]


def _differences(model: Potential, curves: Sequence[DimerCurve], whose: str) -> list[Metric]:
    """Return the root mean square difference of each pair in the bonding window."""
    return [Metric(f"RMS difference from {whose}, {c.name}", bonding_difference(model, c), "eV") for c in curves]


def bonding_difference(potential: Potential, reference: DimerCurve) -> float:
    """Return the root mean square difference of energies in eV where the reference bonds.

    That is from :data:`BOND_HEIGHT` up its wall to :data:`BOND_LENGTH` times the distance of its minimum; both curves
    are zero at the last distance of the reference.
    """
    first, second = reference.numbers
    energy = dimer_curve(potential, first, second, reference.r).energy
    expected = reference.energy - reference.energy[-1]
    lowest = int(expected.argmin())
    high = np.flatnonzero(expected[:lowest] - expected[lowest] > BOND_HEIGHT)
    lower = int(high[-1]) + 1 if high.size else 0
    upper = int(np.searchsorted(reference.r, BOND_LENGTH * reference.r[lowest], side="right"))
    return float(np.sqrt(np.mean((energy - expected)[lower:upper] ** 2)))

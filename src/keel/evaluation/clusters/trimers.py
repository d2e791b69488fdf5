"""Is the energy of three atoms sound when the angle between their two bonds changes?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
import torch

from keel.atoms.elements import COVALENT_RADII, atomic_number, symbol
from keel.atoms.frame import Array, Frame
from keel.errors import ConfigError, DataError
from keel.evaluation.check import CheckResult, Metric
from keel.evaluation.clusters.diatomics import known_elements, overlap
from keel.evaluation.clusters.dimer_metrics import ENERGY_THRESHOLD
from keel.evaluation.clusters.scans import Scan, judged_scans
from keel.evaluation.probing import energies_and_forces, in_precision
from keel.potentials.base import Potential

INSIDE = 0.8
"""A path starts at this share of the angle at which the end atoms overlap, ..."""
SMALLEST_ANGLE = 40
"""... but at no more than this many degrees."""

Triple = tuple[int | str, int | str, int | str]


def trimers(
    potential: Potential,
    triples: Sequence[Triple] | None = None,
    *,
    elements: Iterable[int | str] | None = None,
    bond_length: float | None = None,
    dtype: torch.dtype = torch.float64,
) -> CheckResult:
    """Bend chains A-B-A from 180 degrees until the end atoms overlap, with bonds of fixed length.

    It passes if every chain is finite; repels where the end atoms overlap (closer than half the sum of their covalent
    radii); and has energies and torques without jumps, the torque being the slope of the energy. The number of minima
    is given.

    Parameters
    ----------
    triples
        Elements of end, middle and end, e.g. ``("O", "Si", "O")``; None: all A-B-A of ``elements``.
    elements
        Elements of the triples; None: all that the potential knows.
    bond_length
        In angstrom; None: the sum of the covalent radii of each bond.
    dtype
        Precision of the test; float32 for a potential that always computes in it.

    Raises
    ------
    ConfigError
        If the bond length is not positive, or there is no such precision.
    DataError
        If there is no triple, one does not consist of three elements, or the potential does not know one of them.
    """
    if bond_length is not None and not bond_length > 0:
        raise ConfigError(f"the bond length of a trimer must be positive, not {bond_length:g} angstrom")
    model = in_precision(potential, dtype)
    scans = [trimer_scan(model, *triple, bond_length) for triple in _triples(model, triples, elements)]
    noted = [Metric(f"minima of {scan.name}", minima(scan.values[0])) for scan in scans]
    return judged_scans(
        "trimers",
        scans,
        dtype,
        wall=False,
        noted=noted,
        curves=[curve for scan in scans for curve in scan.curves("angle (degrees)")],
        good=f"every chain bends smoothly down to where its ends overlap, {len(scans)} in all",
    )


def trimer_scan(potential: Potential, first: int, middle: int, last: int, bond_length: float | None = None) -> Scan:
    """Return a chain as a path of angles in degrees, in steps of one, up to 180."""
    lengths = np.array([bond_length or COVALENT_RADII[end] + COVALENT_RADII[middle] for end in (first, last)])
    crowded = _angle(lengths, overlap(first, last))
    start = max(1, min(SMALLEST_ANGLE, int(INSIDE * crowded)))
    numbers = np.array([middle, first, last])

    def along(degrees: Array) -> Array:
        half = 0.5 * np.radians(degrees)
        ends = np.stack([np.cos(half), np.sin(half)]), np.stack([np.cos(half), -np.sin(half)])
        positions = np.zeros((len(half), 3, 3))
        tangents = np.zeros_like(positions)
        for k, (x, y) in enumerate(ends):
            positions[:, k + 1, 0], positions[:, k + 1, 1] = lengths[k] * x, lengths[k] * y
            tangents[:, k + 1, 0], tangents[:, k + 1, 1] = -np.abs(y), x * np.sign(0.5 - k)
        tangents[:, 1:] *= 0.5 * np.radians(1.0) * lengths[:, None]
        energies, forces = energies_and_forces(potential, [Frame(numbers, p) for p in positions])
        return np.stack([energies, (forces * tangents).sum(axis=(1, 2))])

    name = "-".join(symbol(z) for z in (first, middle, last))
    return Scan(name, np.arange(start, 181.0), along, crowded, "degree")


def minima(energy: Array) -> int:
    """Return how many minima a curve has, one of them where it falls up to its end; steps below 1 meV are left out.

    At 180 degrees a chain is its own mirror image, so that such an end is a minimum.
    """
    steps = np.diff(energy[np.isfinite(energy)])
    signs = np.sign(steps[np.abs(steps) >= ENERGY_THRESHOLD])
    return int(np.sum((signs[:-1] < 0) & (signs[1:] > 0)) + (signs.size > 0 and signs[-1] < 0))


def _angle(lengths: Array, distance: float) -> float:
    """Return the angle in degrees between two bonds whose ends are this far apart."""
    a, b = lengths
    return float(np.degrees(np.arccos(np.clip((a**2 + b**2 - distance**2) / (2 * a * b), -1.0, 1.0))))


def _triples(
    model: Potential, triples: Sequence[Triple] | None, elements: Iterable[int | str] | None
) -> list[tuple[int, int, int]]:
    if triples is None:
        return [(a, b, a) for a, b in product(known_elements(model, elements), repeat=2)]
    if not triples:
        raise DataError("there is no triple to probe the potential with; give at least one")
    for triple in triples:
        if isinstance(triple, str) or len(triple) != 3:
            raise DataError(f'{triple!r} is not a triple; give three elements, such as ("O", "Si", "O")')
    return [(atomic_number(a), atomic_number(b), atomic_number(c)) for a, b, c in triples]

"""Is the energy sound when a bond of a cluster is compressed and stretched, and how far are forces from a reference's?

The path and the Force Smoothness Deviation are those of the Bond Smoothness Characterization Test, BSCT (Liu et al.,
arXiv 2602.04861): the bond takes 100 lengths from half to twice the sum of the covalent radii of its atoms; the
fragments that it joins are rigid, and each moves half the way. With a the bond length, F the forces on all atoms, and
the minimum of the reference's energy at a0,

    FSD = max_a | d/da log( max(|F(a) - F_ref(a0)|^2, 1) / max(|F_ref(a) - F_ref(a0)|^2, 1) ) |     in 1/angstrom

with differences of neighbouring points and forces in eV/angstrom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase.geometry import find_mic
from numpy.typing import NDArray

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.elements import COVALENT_RADII, pair_name
from keel.atoms.frame import Array, Frame
from keel.atoms.neighbours import neighbour_list
from keel.errors import ConfigError
from keel.evaluation.check import CheckResult, Curve, Metric
from keel.evaluation.clusters.diatomics import overlap
from keel.evaluation.clusters.dimer_metrics import force_flips
from keel.evaluation.clusters.scans import Scan, judged_scans
from keel.evaluation.probing import energies_and_forces, in_precision, prepared
from keel.potentials.base import Potential

BONDED = 1.25
"""Atoms are bonded if no further apart than this times the sum of their covalent radii."""

N_POINTS = 100
SHORTEST, LONGEST = 0.5, 2.0
"""Ends of the path, in sums of the covalent radii."""

FLOOR = 1.0
"""Smaller changes of the force, in (eV/angstrom)^2 summed over atoms, are treated as zero."""


def bond_scans(
    potential: Potential,
    clusters: Structures,
    bonds: Sequence[tuple[int, int]] | None = None,
    *,
    beside: Potential | None = None,
    dtype: torch.dtype = torch.float64,
) -> CheckResult:
    """Compress and stretch bonds of clusters.

    It passes if every scan is finite; repels where the two atoms overlap (closer than half the sum of their covalent
    radii) and within its wall; and has energies and forces without jumps, the force along the path being the slope of
    the energy. The number of sign changes of the force is given (one for a single well; a bond of a cluster may have
    more), and the Force Smoothness Deviation if there is a potential ``beside``.

    Parameters
    ----------
    clusters
        Structures, periodic or not.
    bonds
        Two atoms of each cluster, counted from 0; None: one bond for each pair of elements that is bonded (within 1.25
        sums of covalent radii), the shortest of those that split the cluster, else the shortest of all. If a bond does
        not split the cluster, only its two atoms move.
    beside
        A potential for comparison, such as the teacher; the reference of the Force Smoothness Deviation.
    dtype
        Precision of the test; float32 for a potential that always computes in it.

    Raises
    ------
    ConfigError
        If a bond is not of two atoms of its cluster, or there is no such precision.
    DataError
        If there is no cluster, or one without atoms.
    """
    clusters = as_frames(clusters, labels=False)
    model = prepared(potential, clusters, dtype)
    chosen = _chosen(clusters, bonds)
    if not chosen:
        why = f"no two atoms are closer than {BONDED:g} times the sum of their covalent radii; name the bonds"
        return CheckResult("bond scans", (), (), "skipped", why)
    scans = [bond_scan(model, stretch, name) for name, stretch in chosen.items()]
    flips = [Metric(f"sign changes of the force, {s.name}", force_flips(s.values[1])) for s in scans]
    compared, curves = _compared(model, beside, chosen, dtype)
    return judged_scans(
        "bond scans",
        scans,
        dtype,
        wall=False,
        noted=(*compared, *flips),
        curves=[*(c for scan in scans for c in scan.curves("bond length (angstrom)")), *curves],
        good=f"{len(scans)} bonds are smooth from half to twice the sum of their covalent radii",
    )


@dataclass(frozen=True, eq=False)
class Stretch:
    """A bond and what moves with it.

    Parameters
    ----------
    frame
        The cluster.
    atoms
        The two atoms of the bond.
    vector
        From the first to the second in angstrom, to the image that is bonded, shape (3,).
    sides
        Which way each atom moves along it: +1 with the second, -1 with the first, 0 not at all, shape (N,).
    """

    frame: Frame
    atoms: tuple[int, int]
    vector: Array
    sides: Array

    @property
    def length(self) -> float:
        """Present length of the bond in angstrom."""
        return float(np.linalg.norm(self.vector))

    @property
    def motion(self) -> Array:
        """Displacement of the atoms for each angstrom of bond length, shape (N, 3)."""
        motion: Array = 0.5 * self.sides[:, None] * self.vector / self.length
        return motion

    @property
    def splits(self) -> bool:
        """Whether whole fragments move."""
        return bool((self.sides != 0).all())

    @property
    def numbers(self) -> tuple[int, int]:
        """Atomic numbers of the two atoms."""
        first, second = (int(z) for z in self.frame.numbers[list(self.atoms)])
        return first, second

    def at(self, lengths: Array) -> list[Frame]:
        """Return the cluster with the bond at this length."""
        frame = self.frame.unlabelled()
        return [frame.replace(positions=frame.positions + (a - self.length) * self.motion) for a in lengths]


def bond_lengths(first: int, second: int) -> Array:
    """Return the lengths in angstrom at which a bond of two elements is scanned, shape (100,)."""
    radii = float(COVALENT_RADII[first] + COVALENT_RADII[second])
    return np.linspace(SHORTEST * radii, LONGEST * radii, N_POINTS)


def bond_scan(potential: Potential, stretch: Stretch, name: str) -> Scan:
    """Return a bond as a path of lengths in angstrom."""

    def along(lengths: Array) -> Array:
        energies, forces = energies_and_forces(potential, stretch.at(lengths))
        return np.stack([energies, (forces * stretch.motion).sum(axis=(1, 2))])

    return Scan(name, bond_lengths(*stretch.numbers), along, overlap(*stretch.numbers))


def force_smoothness_deviation(lengths: Array, forces: Array, expected: Array, equilibrium: int) -> Array:
    """Return the FSD in 1/angstrom (see the module), of all lengths, up to equilibrium, and beyond it, shape (3,).

    Parameters
    ----------
    lengths
        Of the bond in angstrom, ascending, shape (K,).
    forces, expected
        Of the potential and of the reference in eV/angstrom, shape (K, N, 3).
    equilibrium
        Index of the minimum of the reference's energy.
    """
    sizes = [np.sum((f - expected[equilibrium]) ** 2, axis=(1, 2)).clip(FLOOR) for f in (forces, expected)]
    with np.errstate(invalid="ignore"):
        slopes = np.abs(np.diff(np.log(sizes[0] / sizes[1])) / np.diff(lengths))
    parts = slopes, slopes[:equilibrium], slopes[equilibrium:]
    return np.array([part.max() if len(part) else np.nan for part in parts])


def bonds_of(frame: Frame) -> list[Stretch]:
    """Return every bond of a structure."""
    reach = BONDED * 2 * float(COVALENT_RADII[frame.numbers].max())
    pairs, images = neighbour_list(frame.positions, frame.cell, frame.pbc, reach, half_list=True)
    vectors = frame.positions[pairs[1]] - frame.positions[pairs[0]] + images @ frame.cell
    near = np.linalg.norm(vectors, axis=1) <= BONDED * COVALENT_RADII[frame.numbers[pairs]].sum(axis=0)
    bonded = (pairs[0] != pairs[1]) & near
    links, vectors = pairs[:, bonded], vectors[bonded]
    return [_stretch(frame, links, k, vectors[k]) for k in range(links.shape[1])]


def _stretch(frame: Frame, links: NDArray[np.int64], k: int, vector: Array) -> Stretch:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = (int(a) for a in links[:, k])
    rest = np.delete(links, k, axis=1)
    graph = coo_array((np.ones(rest.shape[1]), (rest[0], rest[1])), shape=(len(frame), len(frame)))
    fragment = connected_components(graph, directed=False)[1]
    sides = np.zeros(len(frame))
    sides[[first, second]] = -1.0, 1.0
    if fragment[first] != fragment[second]:
        sides = 1.0 * (fragment == fragment[second]) - 1.0 * (fragment == fragment[first])
    return Stretch(frame, (first, second), vector, sides)


def _chosen(clusters: Sequence[Frame], bonds: Sequence[tuple[int, int]] | None) -> dict[str, Stretch]:
    if bonds is not None and len(bonds) != len(clusters):
        raise ConfigError(f"there are {len(bonds)} bonds for {len(clusters)} clusters; give one bond for each cluster")
    chosen: dict[str, Stretch] = {}
    for k, frame in enumerate(clusters):
        found = _typical(frame) if bonds is None else [_named(frame, bonds[k])]
        label = f" of {frame.formula}" + (f" ({k + 1})" if len(clusters) > 1 else "")
        chosen |= {pair_name(*stretch.numbers) + label: stretch for stretch in found}
    return chosen


def _typical(frame: Frame) -> list[Stretch]:
    """Return one bond for each pair of elements: one that splits the cluster if there is one, then the shortest."""
    best: dict[tuple[int, ...], Stretch] = {}
    for stretch in sorted(bonds_of(frame), key=lambda s: (not s.splits, round(s.length, 6))):
        best.setdefault(tuple(sorted(stretch.numbers)), stretch)
    return [best[pair] for pair in sorted(best)]


def _named(frame: Frame, bond: tuple[int, int]) -> Stretch:
    first, second = bond
    if first == second or not all(0 <= atom < len(frame) for atom in bond):
        raise ConfigError(f"a bond joins two of the {len(frame)} atoms of {frame.source}, counted from 0, not {bond}")
    known = [s for s in bonds_of(frame) if set(s.atoms) == {first, second}]
    if known:
        return min(known, key=lambda s: s.length)
    sides = np.zeros(len(frame))
    sides[[first, second]] = -1.0, 1.0
    nearest, _ = find_mic(frame.positions[second] - frame.positions[first], frame.cell, frame.pbc)
    return Stretch(frame, (first, second), nearest, sides)


def _compared(
    model: Potential, beside: Potential | None, chosen: dict[str, Stretch], dtype: torch.dtype
) -> tuple[list[Metric], list[Curve]]:
    """Return the means of the FSD over the bonds, as BSCT reports them, and the energies of the other potential."""
    if beside is None:
        return [], []
    other, curves, deviations = in_precision(beside, dtype), [], []
    for name, stretch in chosen.items():
        lengths = bond_lengths(*stretch.numbers)
        energies, expected = energies_and_forces(other, stretch.at(lengths))
        forces = energies_and_forces(model, stretch.at(lengths))[1]
        deviations.append(force_smoothness_deviation(lengths, forces, expected, int(energies.argmin())))
        curves.append(Curve(f"reference {name}", lengths, energies, "bond length (angstrom)", "energy (eV)"))
    parts = ("", ", pressed", ", stretched")
    means = [float(np.nanmean(column)) if np.isfinite(column).any() else np.nan for column in np.array(deviations).T]
    metrics = [Metric(f"FSD{part}", mean, "1/angstrom") for part, mean in zip(parts, means, strict=True)]
    return metrics, curves

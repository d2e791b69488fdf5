"""Radial distribution functions of each pair of elements, and how far two of them are apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.elements import pair_name
from keel.atoms.frame import Array, Frame
from keel.atoms.neighbours import neighbour_list
from keel.errors import DataError
from keel.showing import Shown, line

TOTAL = "total"
"""Name of the g(r) of all atoms, whatever their element."""


@dataclass(frozen=True, eq=False, repr=False)
class RDF(Shown):
    """Radial distribution functions averaged over frames.

    Parameters
    ----------
    r
        Centres of the bins in angstrom, shape (K,).
    g
        g(r) by pair of elements (``"O-Si"``) and for all atoms (``"total"``), shape (K,) each.
    n_frames
        Frames averaged over.
    """

    r: Array
    g: Mapping[str, Array]
    n_frames: int

    def picture(self) -> str:
        """See :class:`~keel.showing.Shown`: g of all atoms."""
        return line(self.g.get(TOTAL, np.zeros(0)).tolist(), label="g(r) of all atoms, against r", lowest=0.0)

    @property
    def pairs(self) -> list[str]:
        """Names of the pairs of elements, without ``"total"``."""
        return [name for name in self.g if name != TOTAL]

    @property
    def width(self) -> float:
        """Width of a bin in angstrom."""
        return float(2.0 * self.r[0])


def rdf(frames: Structures, *, r_max: float = 6.0, n_bins: int = 300) -> RDF:
    """Return g_ab(r) = <n_ab(r)> / (rho_a rho_b V 4 pi r^2 dr) over frames of any periodic cell.

    n_ab counts ordered pairs of an atom a and an atom b at distance r, *all* periodic images included, so r may exceed
    half the cell. 1 is an ideal gas, 0 an empty shell. N_a N_b pairs are expected, not N_a (N_b - 1): the images of an
    atom are among its neighbours. An element pair is averaged over the frames that contain both.

    Parameters
    ----------
    frames
        Structures or a trajectory, read once.
    r_max, n_bins
        The histogram's range in angstrom and number of bins.

    Raises
    ------
    DataError
        If there is no frame, or one is not periodic in all three directions (it has no density).
    """
    frames = as_frames(frames, labels=False)
    edges = np.linspace(0.0, r_max, n_bins + 1)
    shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    counts: defaultdict[str, Array] = defaultdict(lambda: np.zeros(n_bins))
    expected: defaultdict[str, float] = defaultdict(float)
    n_frames = 0
    for frame in frames:
        if not frame.pbc.all():
            raise DataError(f"{frame.source}: g(r) needs a cell that is periodic in three directions")
        n_frames += 1
        for name, (count, weight) in pair_histograms(frame, edges).items():
            counts[name] += count
            expected[name] += weight
    if n_frames == 0:
        raise DataError("there is no frame from which to compute g(r)")
    g = {name: counts[name] / (expected[name] * shells) for name in sorted(counts, key=lambda n: (n == TOTAL, n))}
    return RDF(0.5 * (edges[1:] + edges[:-1]), g, n_frames)


def mean_rdf(members: Sequence[RDF]) -> RDF:
    """Return the mean of several g(r) on one grid, each with the same weight; of a pair over those that have it."""
    return RDF(members[0].r, mean_of_known([m.g for m in members]), sum(m.n_frames for m in members))


def mean_of_known(members: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Average each name over the members that have it."""
    names = dict.fromkeys(name for member in members for name in member)
    return {n: np.mean([m[n] for m in members if n in m], axis=0) for n in names}


def pair_histograms(frame: Frame, edges: Array) -> dict[str, tuple[Array, float]]:
    """Return, by pair of elements and in total, the histogram of unordered pairs and their number per volume.

    The second number times the volume of a shell is what an ideal gas would count.
    """
    (i, j), shifts = neighbour_list(frame.positions, frame.cell, frame.pbc, float(edges[-1]), half_list=True)
    distances = np.linalg.norm(frame.positions[j] - frame.positions[i] + shifts @ frame.cell, axis=1)
    bins = np.minimum((distances / edges[1]).astype(np.int64), len(edges) - 2)
    elements, species, n_of = np.unique(frame.numbers, return_inverse=True, return_counts=True)
    first, second = np.minimum(species[i], species[j]), np.maximum(species[i], species[j])
    k, n_bins = len(elements), len(edges) - 1
    table = np.bincount((first * k + second) * n_bins + bins, minlength=k * k * n_bins).reshape(k, k, n_bins)
    result = {}
    for a in range(k):
        for b in range(a, k):
            pairs = n_of[a] * n_of[b] * (0.5 if a == b else 1.0)
            result[pair_name(int(elements[a]), int(elements[b]))] = table[a, b].astype(float), pairs / frame.volume
    result[TOTAL] = table.sum(axis=(0, 1)).astype(float), 0.5 * len(frame) ** 2 / frame.volume
    return result


def rdf_error(reference: RDF, simulated: RDF, r_max: float = 6.0) -> dict[str, float]:
    """Return int_0^{r_max} |g - g_ref| dr in angstrom by pair and in total (Fu et al., arXiv 2210.07237).

    0 is perfect agreement; there is no upper bound; the paper calls a simulation unstable beyond 3 (water, worst
    pair) or 1 (LiPS, all pairs).

    Parameters
    ----------
    reference, simulated
        g(r) on the same grid.
    r_max
        End of the integral in angstrom.
    """
    keep = _common_grid(reference, simulated) & (reference.r <= r_max)
    return {
        name: float(np.abs(simulated.g[name] - g)[keep].sum() * reference.width)
        for name, g in reference.g.items()
        if name in simulated.g
    }


def rdf_error_percent(reference: RDF, simulated: RDF) -> dict[str, float]:
    """Return 100 min(1, int |g - g_ref| dr / int |g_ref - 1| dr) by pair and in total, as matbench-discovery's MD task.

    0 is perfect agreement, 100 as far from the reference as an ideal gas; also 100 where the reference is an ideal gas.

    Parameters
    ----------
    reference, simulated
        g(r) on the same grid.
    """
    _common_grid(reference, simulated)
    errors = {}
    for name, g in reference.g.items():
        if name in simulated.g:
            scale = np.trapezoid(np.abs(g - 1.0), reference.r)
            error = np.trapezoid(np.abs(simulated.g[name] - g), reference.r)
            errors[name] = 100.0 * min(1.0, float(error / scale)) if scale > 0 else 100.0
    return errors


def _common_grid(first: RDF, second: RDF) -> np.ndarray:
    if first.r.shape != second.r.shape or not np.allclose(first.r, second.r):
        raise DataError("two g(r) can only be compared on the same grid; compute both with the same r_max and n_bins")
    return np.ones(first.r.shape, dtype=bool)

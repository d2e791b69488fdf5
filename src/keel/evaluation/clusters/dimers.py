"""Dimer curves: energy and force of two atoms alone against their distance, for every pair of elements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import torch

from keel.atoms.elements import atomic_number, atomic_numbers_of, pair_name
from keel.atoms.frame import Array
from keel.atoms.graph import AtomGraph
from keel.errors import ConfigError, DataError
from keel.evaluation.clusters import dimer_metrics as metric
from keel.potentials.base import Potential
from keel.potentials.convert import converted
from keel.potentials.external.opening import Given, open_potential
from keel.records import write_csv
from keel.showing import Facts, Shown, line

DISTANCES: Array = np.linspace(0.1, 8.0, 791)
"""0.1 to 8 angstrom in steps of 0.01."""


@dataclass(frozen=True, eq=False, repr=False)
class DimerCurve(Shown):
    """Two atoms alone.

    Parameters
    ----------
    numbers
        Atomic numbers of the two, the lower first.
    r
        Distance in angstrom, ascending, shape (K,).
    energy
        E(r) - E(last r) in eV, shape (K,).
    force
        Radial force -dE/dr in eV/angstrom, positive = repulsive, shape (K,).
    """

    numbers: tuple[int, int]
    r: Array
    energy: Array
    force: Array

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        deepest = int(np.nanargmin(self.energy)) if np.isfinite(self.energy).any() else 0
        return {
            "of": self.name,
            "from": f"{self.r[0]:g} to {self.r[-1]:g} angstrom",
            "lowest": f"{self.energy[deepest]:.2f} eV at {self.r[deepest]:.2f} angstrom",
        }

    def picture(self) -> str:
        """See :class:`~keel.showing.Shown`: the energy up to 10 eV."""
        return line(np.minimum(self.energy, 10.0).tolist(), label="energy against distance, up to 10 eV")

    @property
    def name(self) -> str:
        """E.g. ``"O-Si"``."""
        return pair_name(*self.numbers)

    def window(self, lower: float, upper: float) -> DimerCurve:
        """Return the part of the curve between two distances, with its energies as they are."""
        keep = (self.r >= lower) & (self.r <= upper)
        return DimerCurve(self.numbers, self.r[keep], self.energy[keep], self.force[keep])

    def metrics(self) -> dict[str, float]:
        """Return all metrics of :mod:`~keel.evaluation.clusters.dimer_metrics`; NaN where the curve is not finite."""
        r, e, f = self.r, self.energy, self.force
        functions: dict[str, Callable[[], float]] = {
            "tortuosity": lambda: metric.tortuosity(e),
            "energy_flips": lambda: float(metric.energy_flips(e)),
            "energy_jump_ev": lambda: metric.energy_jump(e),
            "force_flips": lambda: float(metric.force_flips(f)),
            "force_jump_ev_per_angstrom": lambda: metric.force_jump(f),
            "force_total_variation_ev_per_angstrom": lambda: metric.force_total_variation(f),
            "conservation_deviation_ev_per_angstrom": lambda: metric.conservation_deviation(r, e, f),
            "spearman_repulsion": lambda: metric.spearman_repulsion(r, e),
            "spearman_attraction": lambda: metric.spearman_attraction(r, e),
            "spearman_force_descending": lambda: metric.spearman_force_descending(r, f),
            "spearman_force_ascending": lambda: metric.spearman_force_ascending(r, f),
            "wall_position_angstrom": lambda: metric.wall_position(r, e),
            "repulsive_from_angstrom": lambda: metric.repulsive_from(r, f),
        }
        sound = len(r) > 2 and bool(np.isfinite(e).all() and np.isfinite(f).all())
        return {name: function() if sound else float("nan") for name, function in functions.items()}

    def window_metrics(self) -> dict[str, float]:
        """Return the metrics in the window that public leaderboards judge (see ``leaderboard_window``).

        At the distances of this curve, which are not those of any leaderboard: see
        :mod:`keel.evaluation.clusters.leaderboards`.
        """
        return self.window(*metric.leaderboard_window(*self.numbers, r_max=float(self.r[-1]))).metrics()


def dimer_curve(
    potential: Potential, first: int | str, second: int | str, distances: Sequence[float] | Array = DISTANCES
) -> DimerCurve:
    """Return the curve of one pair of elements; all distances are one batch, in the potential's precision.

    Parameters
    ----------
    potential
        Any potential.
    first, second
        Symbols or atomic numbers.
    distances
        In angstrom, ascending.

    Raises
    ------
    ConfigError
        If the distances are not positive and ascending.
    DataError
        If the potential does not know the elements.
    """
    r = np.asarray(distances, dtype=float)
    if r.size < 2 or not (r[0] > 0 and (np.diff(r) > 0).all()):
        raise ConfigError("the distances of a dimer curve must be positive and ascending, at least two")
    z = sorted((atomic_number(first), atomic_number(second)))
    prediction = potential(_dimers(z, r, potential))
    assert prediction.forces is not None
    energy = prediction.energy.cpu().numpy()
    force = prediction.forces[1::2, 0].double().cpu().numpy()
    return DimerCurve((z[0], z[1]), r, energy - energy[-1], force)


def dimers(
    potential: Given,
    elements: Iterable[int | str] | None = None,
    *,
    pairs: Iterable[tuple[int | str, int | str]] | None = None,
    distances: Sequence[float] | Array = DISTANCES,
    dtype: torch.dtype | None = torch.float64,
) -> dict[str, DimerCurve]:
    """Return the curves of some pairs, by name of the pair.

    Parameters
    ----------
    potential
        A potential, or what has or names one (:func:`keel.open_potential`).
    elements
        All pairs of these; None: of all that the potential knows.
    pairs
        These pairs instead.
    distances
        In angstrom.
    dtype
        Precision; None: the potential's own.

    Raises
    ------
    DataError
        If no elements are given and the potential knows all, or it does not know one of them.
    """
    potential = open_potential(potential)
    if pairs is None:
        if elements is None and potential.elements is None:
            raise DataError(f"a {type(potential).__name__} takes every element; name the elements of the dimers")
        known = potential.elements if elements is None else sorted(set(atomic_numbers_of(elements)))
        pairs = combinations_with_replacement(known or (), 2)
    model = converted(potential, dtype)
    curves = [dimer_curve(model, a, b, distances) for a, b in pairs]
    return {curve.name: curve for curve in curves}


def write_curves(curves: Mapping[str, DimerCurve], path: str | Path) -> None:
    """Write curves as CSV: pair, r_angstrom, energy_ev, force_ev_per_angstrom.

    Parameters
    ----------
    curves
        By name of the pair.
    path
        The file.
    """
    header = ("pair", "r_angstrom", "energy_ev", "force_ev_per_angstrom")
    rows = ((name, *row) for name, c in curves.items() for row in zip(c.r, c.energy, c.force, strict=True))
    write_csv(Path(path), header, rows)


def _dimers(numbers: Sequence[int], r: Array, potential: Potential) -> AtomGraph:
    """Return K dimers along x as one batch."""
    k = len(r)
    positions = torch.zeros(2 * k, 3, dtype=torch.float64)
    positions[1::2, 0] = torch.from_numpy(r)
    near = torch.from_numpy(np.flatnonzero(r < potential.cutoff))
    pairs = torch.stack([2 * near, 2 * near + 1])
    if not potential.half_list:
        pairs = torch.stack([pairs.T, pairs.flip(0).T], dim=1).reshape(-1, 2).T
    return AtomGraph(
        numbers=torch.tensor(list(numbers) * k),
        positions=positions.to(potential.dtype),
        cell=torch.zeros(k, 3, 3, dtype=potential.dtype),
        pbc=torch.zeros(k, 3, dtype=torch.bool),
        batch=torch.arange(k).repeat_interleave(2),
        edge_index=pairs,
        edge_shift=torch.zeros(pairs.shape[1], 3, dtype=potential.dtype),
        cutoff=potential.cutoff,
        half_list=potential.half_list,
    ).to(potential.device)

"""Requirements along a path on which atoms meet: dimers, the angle of a trimer, a bond of a cluster.

Atoms meet at the start of the path. The *wall* ends where, coming from the far end, E first lies 10 eV above the lowest
place passed; no simulation climbs it. From the wall inwards only repulsion is sound: attraction there is a hole, in
which atoms fuse. From the wall outwards energy and force must not jump, and the force must be the slope.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from keel.atoms.frame import Array
from keel.evaluation.check import CheckResult, Curve, Metric, judged
from keel.evaluation.exact.conservation import CONSISTENT
from keel.evaluation.exact.jumps import SMOOTH, largest_jump
from keel.evaluation.probing import STEPS, size_of
from keel.potentials.accuracy import MILLI
from keel.testing.differences import STENCIL, slopes

WALL = 10.0
"""Required height of a wall in eV."""

EVERY = 10
"""The force is compared with the slope of the energy at every tenth point, ..."""
SHARE = 0.9
"""... and this share of them must agree: a jump spoils only the few points next to it."""

NOT_FINITE = "points that are not finite"


@dataclass(frozen=True, eq=False)
class Scan:
    """Energy and force along a path.

    Parameters
    ----------
    name
        Of what is scanned, e.g. ``"O-Si"``.
    x
        Even grid along the path in ``unit``, ascending from where atoms meet, shape (K,).
    along
        Returns energy in eV and force -dE/dx at ascending x, shape (2, K).
    crowded
        Below this x atoms overlap, and only repulsion is sound whatever the height of the wall.
    unit
        Of x.
    """

    name: str
    x: Array
    along: Callable[[Array], Array]
    crowded: float
    unit: str = "angstrom"

    @cached_property
    def values(self) -> Array:
        """Energies and forces on the grid, shape (2, K)."""
        return self.along(self.x)

    @property
    def not_finite(self) -> int:
        """Number of points where energy or force is not finite."""
        return int((~np.isfinite(self.values)).any(axis=0).sum())

    @cached_property
    def climb(self) -> Array:
        """How far E lies above the lowest place between there and the far end, in eV, shape (K,)."""
        energy = self.values[0]
        climb: Array = energy - np.minimum.accumulate(energy[::-1])[::-1]
        return climb

    @cached_property
    def wall(self) -> int:
        """Index of the first point outside the wall, or, if there is none, outside the crowded start."""
        high = np.flatnonzero(self.climb >= WALL)
        return int(high[-1]) + 1 if high.size else int(np.searchsorted(self.x, self.crowded))

    @property
    def hole(self) -> float:
        """Largest x within the wall, or below ``crowded``, that does not repel; 0 if there is none."""
        inside = max(self.wall, int(np.searchsorted(self.x, self.crowded)))
        attractive = np.flatnonzero(self.values[1][:inside] <= 0)
        return float(self.x[attractive[-1]]) if attractive.size else 0.0

    @property
    def scale(self) -> float:
        """Root mean square of the force outside the wall."""
        return size_of(self.values[1][min(self.wall, len(self.x) - 5) :])

    def force_error(self, dtype: torch.dtype) -> float:
        """Return the 90th percentile of |F + dE/dx| outside the wall, over the root mean square of F."""
        spacing = float(self.x[1] - self.x[0])
        step = spacing * STEPS[dtype] / STEPS[torch.float64] / 100
        chosen = np.arange(min(self.wall, len(self.x) - 1 - EVERY), len(self.x), EVERY)
        points = self.x[chosen, None] + step * np.array(list(STENCIL))
        slope = slopes(self.along(points.ravel())[0], step)
        return float(np.quantile(np.abs(self.values[1][chosen] + slope), SHARE) / self.scale)

    def jumps(self, dtype: torch.dtype) -> tuple[Metric, Metric]:
        """Return the largest jumps of energy and force outside the wall; above the limit, those at smaller spacings.

        Limits are shares of the RMS force, and of its work along a hundred spacings.
        """
        limit = SMOOTH[dtype] * self.scale
        work = limit * 100 * float(self.x[1] - self.x[0])
        return (
            Metric("energy jump", MILLI * self._jump(0, work), "meV", MILLI * work),
            Metric("force jump", MILLI * self._jump(1, limit), f"meV/{self.unit}", MILLI * limit),
        )

    def _jump(self, quantity: int, limit: float) -> float:
        start = min(self.wall, len(self.x) - 5)
        return largest_jump(self.x[start:], self.values[quantity][start:], lambda x: self.along(x)[quantity], limit)

    def metrics(self, dtype: torch.dtype, *, wall: bool) -> tuple[Metric, ...]:
        """Return the judged metrics; only the number of points if some are not finite.

        Parameters
        ----------
        wall
            Whether the path leads far enough inwards for the wall to reach :data:`WALL`.
        """
        if self.not_finite:
            return (Metric(NOT_FINITE, self.not_finite, "", 0.0),)
        height = float(self.climb.max())
        low = (Metric("wall too low by", max(0.0, WALL - height), "eV", 0.0),) if wall else ()
        return (
            Metric(NOT_FINITE, 0.0, "", 0.0),
            Metric("hole in the wall up to", self.hole, self.unit, 0.0),
            *low,
            Metric("force error", self.force_error(dtype), "of the RMS force", CONSISTENT[dtype]),
            *self.jumps(dtype),
        )

    def curves(self, x_label: str, prefix: str = "") -> tuple[Curve, Curve]:
        """Return energy above that of the far end, and force, on the grid."""
        (energy, force), name = self.values, prefix + self.name
        return (
            Curve(name, self.x, energy - energy[-1], x_label, "energy (eV)"),
            Curve(f"{name}, force", self.x, force, x_label, f"force (eV/{self.unit})"),
        )


def judged_scans(
    name: str,
    scans: Sequence[Scan],
    dtype: torch.dtype,
    *,
    wall: bool,
    noted: Sequence[Metric] = (),
    curves: Sequence[Curve] = (),
    good: str,
) -> CheckResult:
    """Return a result that passes if every scan is sound: the metrics of the worst, how many fail, and further metrics.

    The worst is the one with most metrics beyond their limits; among equals, the one with the largest.
    """
    found = {scan.name: scan.metrics(dtype, wall=wall) for scan in scans}
    broken = {name: sum(not m.passed for m in metrics) for name, metrics in found.items()}
    worst = max(found, key=lambda name: (len(found[name]) == 1, broken[name], _excess(found[name])))
    failing = [name for name in found if broken[name]]
    others = [name for name in failing if name != worst]
    also = f" (and {len(others)} more: {', '.join(others[:5])}{', ...' if len(others) > 5 else ''})" if others else ""
    metrics = (*found[worst], Metric("scans that fail", len(failing)), *noted)
    return judged(name, metrics, curves, good.format(worst=worst), f"{worst} is not sound{also}")


def _excess(metrics: Sequence[Metric]) -> float:
    shares = [abs(m.value) / m.limit if m.limit else abs(m.value) for m in metrics if m.limit is not None]
    return float(np.nan_to_num(max(shares), nan=np.inf))

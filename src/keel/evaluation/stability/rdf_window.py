"""A failure criterion: the structure of a simulation has left that of the reference."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from keel.atoms.elements import pair_name
from keel.atoms.frame import Frame
from keel.dynamics.criteria import Moment
from keel.evaluation.structure.rdf import RDF, TOTAL, rdf_error

_Histograms = dict[str, tuple[Tensor, float]]


@dataclass(frozen=True, eq=False)
class RDFWindow:
    """int |<g>_window - g_ref| dr > Delta for any pair of elements (Fu et al., arXiv 2210.07237).

    g(r) is averaged over windows that follow each other; a run is judged at the end of each, so that the criterion
    only depends on the trajectory. Meaningful with a reference at the temperature of the simulation, and with windows
    long enough that the noise of g(r) stays well below Delta.

    Parameters
    ----------
    reference
        g(r) of reference frames at the temperature simulated.
    delta
        In angstrom; the paper takes 3 for water (worst pair) and 1 for LiPS (all atoms).
    window
        In fs; the paper takes 1000.
    every
        Steps between two samples of g(r).
    by_pair
        Judge the worst pair of elements; if False, all atoms together.
    """

    reference: RDF
    delta: float = 3.0
    window: float = 1000.0
    every: int = 10
    by_pair: bool = True
    cause: str = "rdf"
    _sums: dict[int, _Histograms] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        """Show everything, every number of the reference: it distinguishes simulations in files."""
        g = self.reference
        with np.printoptions(threshold=sys.maxsize):
            reference = f"RDF(r={g.r!r}, g={g.g!r}, n_frames={g.n_frames!r})"
        rest = (f"{name}={getattr(self, name)!r}" for name in ("delta", "window", "every", "by_pair", "cause"))
        return f"RDFWindow(reference={reference}, {', '.join(rest)})"

    def reach(self, frames: Sequence[Frame]) -> float:
        """See :class:`keel.dynamics.Criterion`."""
        return self.reference.width * len(self.reference.r)

    def failed(self, moment: Moment) -> Tensor:
        """See :class:`keel.dynamics.Criterion`."""
        failed = torch.zeros(len(moment.runs), dtype=torch.bool, device=moment.positions.device)
        steps_per_window = self._steps(moment.timestep_fs)
        if moment.step % self.every or moment.step == 0:
            return failed
        if moment.step % steps_per_window == self.every % steps_per_window:
            self._sums.clear()
        self._count(moment)
        if moment.step % steps_per_window == 0:
            for b, run in enumerate(moment.runs):
                failed[b] = self._distance(run) > self.delta
            self._sums.clear()
        return failed

    def remembers(self, step: int, timestep_fs: float) -> bool:
        """See :class:`keel.dynamics.criteria.Remembering`; between the ends of two windows."""
        return step % self._steps(timestep_fs) != 0

    def _steps(self, timestep_fs: float) -> int:
        """Return the number of steps of a window."""
        return max(self.every, round(self.window / timestep_fs / self.every) * self.every)

    def _distance(self, run: int) -> float:
        shells = self._shells()
        g = {name: (count.cpu() / (weight * shells)).numpy() for name, (count, weight) in self._sums[run].items()}
        errors = rdf_error(self.reference, RDF(self.reference.r, g, 1), r_max=float(self.reference.r[-1]))
        chosen = [e for name, e in errors.items() if (name != TOTAL) == self.by_pair]
        return max(chosen, default=0.0)

    def _shells(self) -> Tensor:
        edges = self.reference.width * torch.arange(len(self.reference.r) + 1, dtype=torch.float64)
        return 4.0 / 3.0 * torch.pi * (edges[1:] ** 3 - edges[:-1] ** 3)

    def _count(self, moment: Moment) -> None:
        graph, n_bins = moment.graph, len(self.reference.r)
        i, j = graph.edge_index
        bins = (moment.squared.sqrt() / self.reference.width).long()
        z = torch.stack([graph.numbers[i], graph.numbers[j]]).sort(dim=0).values
        structure = graph.batch[i]
        for b, run in enumerate(moment.runs):
            sums = self._sums.setdefault(run, {})
            here = (structure == b) & (bins < n_bins)
            volume = float(graph.volume[b])
            numbers, counts = torch.unique(graph.numbers[graph.batch == b], return_counts=True)
            self._add(sums, TOTAL, bins[here], float(counts.sum()) ** 2 / 2 / volume, graph.half_list)
            for k, first in enumerate(numbers.tolist()):
                for m, second in enumerate(numbers.tolist()[k:], start=k):
                    pairs = float(counts[k] * counts[m]) * (0.5 if k == m else 1.0)
                    chosen = here & (z[0] == first) & (z[1] == second)
                    self._add(sums, pair_name(first, second), bins[chosen], pairs / volume, graph.half_list)

    def _add(self, sums: _Histograms, name: str, bins: Tensor, weight: float, half_list: bool) -> None:
        n_bins = len(self.reference.r)
        count = torch.bincount(bins, minlength=n_bins).double() * (1.0 if half_list else 0.5)
        old, old_weight = sums.get(name, (torch.zeros_like(count), 0.0))
        sums[name] = old + count, old_weight + weight

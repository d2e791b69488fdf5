"""Every interval that keel states, computed for data whose truth is known: how often does it contain the truth?

Each case is a function from a random number generator to whether intervals held the truth, one or several. Data are
correlated as those of simulations are: frames resemble the next, atoms of a frame each other, runs from one structure
and networks of one seed each other. Benchmarks ask a hundred times and more, tests some times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache, partial

import numpy as np

from keel.atoms.frame import Frame
from keel.comparison.lifetimes import Lifetimes
from keel.comparison.paired import Comparison, compare_forces, compare_lifetimes
from keel.comparison.samples import Sample, mean_difference
from keel.comparison.series import NORMAL, mean_of, series_mean
from keel.comparison.statistics import Interval, clustered_mean
from keel.dynamics.survival import kaplan_meier
from keel.evaluation.structure.diffusion import diffusion_by_element
from keel.evaluation.structure.pair_structure import _pairs
from keel.evaluation.structure.recorded import compared
from walks import WALKS, paths, remembering

Rng = np.random.Generator
RESAMPLES, LENGTH = 400, 3000.0


@dataclass(frozen=True)
class Case:
    """An interval that keel states, its data, and one repeat; cheap cases are repeated more often."""

    interval: str
    data: str
    repeat: Callable[[Rng], list[bool]]
    cheap: bool = False


def diffusion_case(kind: str, frames: int, atoms: int, runs: int, rng: Rng) -> list[bool]:
    seeds = rng.integers(1 << 31, size=runs)
    found = diffusion_by_element([paths(kind, frames, atoms, int(s)) for s in seeds])["Li"]
    return [abs(found.coefficient - WALKS[kind].truth(atoms)) < NORMAL * found.error]


def density_case(records: int, memory: float, runs: int, rng: Rng) -> list[bool]:
    """Volumes that fluctuate by 2 %; the density probe takes its error from this mean."""
    volumes = 20.0 * (1 + 0.02 * remembering(rng, (records, runs), memory))
    found = mean_of([series_mean(v) for v in volumes.T])
    return [abs(found.value - 20.0) < NORMAL * found.error]


def crystal(rng: Rng, frames: int, memory: float) -> list[Frame]:
    """Sixteen atoms that vibrate about the sites of a body-centred lattice."""
    a = 3.0
    corners = np.indices((2, 2, 2)).reshape(3, -1).T[:, None]
    sites = a * np.add(corners, [[0, 0, 0], [0.5, 0.5, 0.5]])
    x = sites.reshape(1, -1, 3) + 0.15 * remembering(rng, (frames, 16, 3), memory)
    return [Frame(np.full(16, 26), p, 2 * a * np.eye(3), np.ones(3, bool)) for p in x]


BINS = 24


@cache
def true_rdf() -> np.ndarray:
    return _pairs(crystal(np.random.default_rng(99), 4000, 0.2), 4.8, BINS)["Fe-Fe"]


def rdf_case(frames: int, memory: float, rng: Rng) -> list[bool]:
    reference = crystal(rng, frames, memory)
    against = compared(reference[:2], reference, lambda part: _pairs(part, 4.8, BINS), None)
    curve = against.curves(["Fe-Fe"], np.arange(BINS), "", "")[1]
    seen = true_rdf() > 0.2
    return ((curve.low <= true_rdf()) & (true_rdf() <= curve.high))[seen].tolist()


def error_case(frames: int, memory: float, atoms: int, rng: Rng) -> list[bool]:
    """Errors of forces whose size changes from frame to frame and lasts, and that atoms of a frame share."""
    spread, width = 0.5, 0.3
    sizes = np.exp(spread * remembering(rng, (frames,), memory))
    values = (sizes[:, None] * np.exp(width * rng.normal(size=(frames, atoms)))).ravel()
    found = clustered_mean(values, np.repeat(np.arange(frames), atoms), in_order=True)
    return [found.covers(float(np.exp(0.5 * (spread**2 + width**2))))]


def difference_case(frames: int, memory: float, rng: Rng) -> list[bool]:
    names, weights = tuple(map(str, rng.permutation(frames))), rng.integers(20, 40, frames).astype(float)
    base = Sample("error", "meV", rng.uniform(5.0, 9.0, frames), names, weights=weights)
    other = Sample("error", "meV", base.values - 1.0 + remembering(rng, (frames,), memory), names, weights=weights)
    return [mean_difference(base, other).covers(-1.0)]


def seeds_case(seeds: int, rng: Rng) -> list[bool]:
    shared = rng.normal(80.0, 10.0, seeds)
    found = compare_forces(shared, shared + rng.normal(3.0, 2.0, seeds), n_resamples=RESAMPLES)
    return [found.covers(3.0)]


def times(rng: Rng, seeds: int, structures: int, factor: float, shared: np.ndarray, length: float) -> Lifetimes:
    """Lifetimes whose scale a seed and a structure change for all their runs."""
    scale = 600.0 * factor * np.exp(of_seeds(seeds) * rng.normal(size=(seeds, 1)) + shared)
    drawn = scale * rng.exponential(size=(seeds, structures))
    return Lifetimes(np.minimum(drawn, length), drawn <= length)


def of_seeds(seeds: int) -> float:
    """An interval from one seed says nothing of others."""
    return 0.3 if seeds > 1 else 0.0


@cache
def many_times(factor: float, seeds: int) -> np.ndarray:
    rng = np.random.default_rng(98)
    scale = 600.0 * factor * np.exp(np.hypot(of_seeds(seeds), 0.5) * rng.normal(size=400_000))
    return np.asarray(scale * rng.exponential(size=400_000))


def shared_scale(rng: Rng, structures: int) -> np.ndarray:
    return 0.5 * rng.normal(size=structures)


def median_case(seeds: int, structures: int, rng: Rng) -> list[bool]:
    found = times(rng, seeds, structures, 1.0, shared_scale(rng, structures), LENGTH).median_interval(RESAMPLES)
    return [found.covers(float(np.median(many_times(1.0, seeds))))]


def curve_case(structures: int, rng: Rng) -> list[bool]:
    """The band of a survival curve at three times, one seed."""
    runs = times(rng, 1, structures, 1.0, shared_scale(rng, structures), LENGTH)
    curve = kaplan_meier(runs.times.ravel().tolist(), runs.failed.ravel().tolist())
    held = []
    for time in (200.0, 600.0, 1800.0):
        k = np.searchsorted(curve.times, time, side="right") - 1
        held.append(bool(curve.lower[k] <= np.mean(many_times(1.0, 1) > time) <= curve.upper[k]))
    return held


@lru_cache(1000)
def two_strategies(seeds: int, structures: int, seed: int) -> Comparison:
    """Two strategies on the same structures, of which one lives twice as long."""
    rng = np.random.default_rng(seed)
    shared = shared_scale(rng, structures)
    base, other = (times(rng, seeds, structures, factor, shared, LENGTH) for factor in (1.0, 2.0))
    return compare_lifetimes(base, other, n_resamples=RESAMPLES, seed=seed)


def pair_case(seeds: int, structures: int, what: str, rng: Rng) -> list[bool]:
    found = two_strategies(seeds, structures, int(rng.integers(1 << 31)))
    one, two = (many_times(factor, seeds) for factor in (1.0, 2.0))
    truths = {
        "median": float(np.median(two) / np.median(one)),
        "mean": float(np.minimum(two, LENGTH).mean() / np.minimum(one, LENGTH).mean()),
        "failed": float((two <= LENGTH).mean() - (one <= LENGTH).mean()),
    }
    interval = getattr(found, what)
    return [isinstance(interval, Interval) and interval.covers(truths[what])]


NAMES = {
    "brownian": "Brownian walk",
    "hops": "rare hops",
    "caged hops": "rare hops of atoms that vibrate",
    "hops of four": "hops of four atoms at a time",
    "some at rest": "Brownian walk of half of the atoms",
    "bound": "vibration about sites, D = 0",
}


def cases() -> Iterator[Case]:
    for kind in WALKS:
        text = NAMES.get(kind, f"{kind} walk")
        yield Case("D of one run", f"{text}, 400 frames, 32 atoms", partial(diffusion_case, kind, 400, 32, 1))
    yield Case("D of one run", "Brownian walk, 3000 frames, 16 atoms", partial(diffusion_case, "brownian", 3000, 16, 1))
    yield Case(
        "D of four runs", "persistent walk, 200 frames, 16 atoms", partial(diffusion_case, "persistent", 200, 16, 4)
    )
    for records, memory, runs in ((320, 1.0, 1), (320, 10.0, 1), (320, 10.0, 8), (80, 3.0, 4)):
        text = f"volumes that remember for {memory:g} of {records} records, {runs} run{'s' if runs > 1 else ''}"
        yield Case("density, volume", text, partial(density_case, records, memory, runs), cheap=True)
    for frames, memory in ((40, 0.2), (80, 2.0), (120, 3.0)):
        text = f"vibrations that remember for {memory:g} of {frames} frames"
        yield Case("g(r) of the reference, by bin", text, partial(rdf_case, frames, memory))
    for frames, memory in ((40, 0.05), (100, 3.0), (300, 8.0)):
        text = f"errors that last for {memory:g} of {frames} frames"
        yield Case("force error, by contact", f"{text}, 20 atoms each", partial(error_case, frames, memory, 20), True)
        yield Case("difference of errors of two potentials", text, partial(difference_case, frames, memory), True)
    for seeds in (3, 6):
        yield Case("difference of force errors of strategies", f"{seeds} seeds", partial(seeds_case, seeds))
    for seeds, structures in ((1, 8), (1, 24), (3, 8), (4, 24)):
        text = f"{seeds} seed{'s' if seeds > 1 else ''}, {structures} structures"
        yield Case("median time to failure", text, partial(median_case, seeds, structures))
    yield Case("survival curve", "24 runs, at three times", partial(curve_case, 24))
    for seeds, structures in ((1, 24), (3, 8), (4, 24)):
        text = f"{seeds} seed{'s' if seeds > 1 else ''}, {structures} structures"
        for what, name in (("median", "ratio of medians"), ("mean", "ratio of mean times"), ("failed", "failed runs")):
            yield Case(f"strategies: {name}", text, partial(pair_case, seeds, structures, what))

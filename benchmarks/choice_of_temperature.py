"""Does the choice of the temperature at which two potentials are compared take sides? Simulated, with equal potentials.

python benchmarks/choice_of_temperature.py

Two potentials with the same lifetimes are tried at three temperatures, eight runs each. Whichever rule chooses the one
that decides, as many pairs should be called better as worse, and few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from keel.evaluation import Lifetimes, compare_lifetimes

RUNS, LENGTH = 8, 3000.0
SCALES = (8000.0, 4000.0, 900.0)
"""Typical lifetime in fs at each temperature."""
PAIRS = 1500

Rung = tuple[Lifetimes, Lifetimes]
RULES: dict[str, Callable[[float, float], float]] = {
    "either potential fails in half of its runs": max,
    "both together do": lambda base, other: (base + other) / 2,
    "the first named does": lambda base, _: base,
    "the hottest": lambda *_: 0.0,
}


def lifetimes(rng: np.random.Generator, scale: float, starts: np.ndarray) -> Lifetimes:
    """Runs of one potential; how long they last depends on the start, too."""
    times = scale * starts * rng.exponential(size=RUNS) ** 0.7
    return Lifetimes(np.minimum(times, LENGTH)[None], (times < LENGTH)[None])


def pair(rng: np.random.Generator) -> list[Rung]:
    """Two potentials at each temperature, from the same starts."""
    rungs = []
    for scale in SCALES:
        starts = np.exp(0.3 * rng.normal(size=RUNS))
        rungs.append((lifetimes(rng, scale, starts), lifetimes(rng, scale, starts)))
    return rungs


def chosen(rungs: list[Rung], rule: Callable[[float, float], float]) -> int:
    """The lowest temperature at which enough runs fail, or the hottest."""
    shares = [rule(float(base.failed.mean()), float(other.failed.mean())) for base, other in rungs]
    return next((k for k, share in enumerate(shares) if share >= 0.5), len(rungs) - 1)


def main() -> None:
    """Print how often equal potentials are called better and worse under each rule."""
    rng = np.random.default_rng(0)
    found: dict[str, Counter[str]] = {name: Counter() for name in RULES}
    for seed in range(PAIRS):
        rungs = pair(rng)
        for name, rule in RULES.items():
            effect = compare_lifetimes(*rungs[chosen(rungs, rule)], n_resamples=150, seed=seed).effect
            found[name][effect] += 1
    for name, effects in found.items():
        better, worse = (100 * effects[effect] / PAIRS for effect in ("better", "worse"))
        print(f"{name:45} better {better:.1f} %, worse {worse:.1f} %")


if __name__ == "__main__":
    main()

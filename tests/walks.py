"""Random walks whose diffusion coefficient is known, for tests and benchmarks of stated errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from keel.evaluation.structure.diffusion import Paths

D, INTERVAL = 1e-4, 10.0
"""angstrom^2/fs, and the time between frames in fs."""


def brownian(rng: np.random.Generator, length: int, atoms: int) -> np.ndarray:
    return rng.normal(scale=np.sqrt(2 * D * INTERVAL), size=(length, atoms, 3)).cumsum(axis=0)


def remembering(rng: np.random.Generator, shape: tuple[int, ...], frames: float) -> np.ndarray:
    """Numbers of unit variance whose correlation falls as exp(-t / frames) along the first axis."""
    a, start = np.exp(-1 / frames), int(20 * frames)
    noise = rng.normal(scale=np.sqrt(1 - a * a), size=(start + shape[0], *shape[1:]))
    return np.asarray(lfilter([1.0], [1.0, -a], noise, axis=0)[start:])


def persistent(rng: np.random.Generator, length: int, atoms: int, frames: float = 3.0) -> np.ndarray:
    a = np.exp(-1 / frames)
    speed = np.sqrt(2 * D * INTERVAL * (1 - a) / (1 + a))
    return speed * remembering(rng, (length, atoms, 3), frames).cumsum(axis=0)


def hops(rng: np.random.Generator, length: int, atoms: int, together: int = 1, rate: float = 0.02) -> np.ndarray:
    """Jumps of one length in any direction, rarely; groups of atoms jump together."""
    direction = rng.normal(size=(length, atoms // together, 3))
    direction *= np.sqrt(6 * D * INTERVAL / rate) / np.linalg.norm(direction, axis=2, keepdims=True)
    jumps = direction * (rng.random((length, atoms // together, 1)) < rate)
    return np.repeat(jumps.cumsum(axis=0), together, axis=1)


def vibration(rng: np.random.Generator, length: int, atoms: int) -> np.ndarray:
    return 0.3 * remembering(rng, (length, atoms, 3), 1.5)


def some_at_rest(rng: np.random.Generator, length: int, atoms: int) -> np.ndarray:
    return brownian(rng, length, atoms) * np.where(np.arange(atoms) % 2, 0.0, np.sqrt(2.0))[:, None]


@dataclass(frozen=True)
class Walk:
    """How atoms walk; in groups of ``together`` that move as one; ``d`` in units of D."""

    positions: Callable[[np.random.Generator, int, int], np.ndarray]
    together: int = 1
    d: float = 1.0

    def truth(self, atoms: int) -> float:
        """D from the centre of mass."""
        return self.d * D * (1 - self.together / atoms)


WALKS = {
    "brownian": Walk(brownian),
    "persistent": Walk(persistent),
    "hops": Walk(hops),
    "caged hops": Walk(lambda rng, *shape: hops(rng, *shape) + vibration(rng, *shape)),
    "hops of four": Walk(lambda rng, *shape: hops(rng, *shape, together=4, rate=0.1), together=4),
    "some at rest": Walk(some_at_rest),
    "bound": Walk(vibration, d=0.0),
}


def paths(kind: str, length: int, atoms: int, seed: int) -> Paths:
    """A run as keel has it: the drift of the centre taken off."""
    x = WALKS[kind].positions(np.random.default_rng([seed, length, atoms]), length, atoms)
    return Paths(np.full(atoms, 3), x - x.mean(axis=1, keepdims=True), INTERVAL)

"""Random numbers that are a pure function of (seed, run, step), so that alone, batched and resumed runs agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keel.errors import ConfigError

BLOCK = 16
"""Number of steps drawn at once; a constant, because the numbers depend on it."""

_PURPOSES = {"noise": 0, "velocities": 1, "barostat": 2}


def gaussian(seed: int, run: int, purpose: str, block: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return standard normal numbers from the counter-based generator Philox4x64 (Salmon et al., SC11, 2011).

    The key is (seed, run), the counter starts at (purpose, block): no state is carried from one call to the next.

    Raises
    ------
    ConfigError
        If seed or run is negative.
    """
    if seed < 0 or run < 0:
        raise ConfigError(f"seed and run must be zero or positive, not {seed} and {run}")
    key = np.array([seed, run], dtype=np.uint64)
    counter = np.array([0, 0, block, _PURPOSES[purpose]], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter)).standard_normal(shape)


class Noise:
    """Random numbers of a batch of runs, step by step; runs may leave the batch.

    Parameters
    ----------
    seed
        Shared by all runs.
    runs
        Number of each run, which together with the seed fixes its noise.
    shapes
        Shape of each run's numbers in one step; they are joined along the first dimension.
    purpose
        ``"noise"`` of a thermostat or ``"barostat"``: numbers of different purposes have nothing in common.
    """

    def __init__(
        self,
        seed: int,
        runs: Sequence[int],
        shapes: Sequence[tuple[int, ...]],
        device: torch.device,
        purpose: str = "noise",
    ) -> None:
        self.seed, self.runs, self.shapes, self.device = seed, list(runs), list(shapes), device
        self.purpose = purpose
        self._block: int | None = None
        self._numbers = torch.empty(0)

    def at(self, step: int) -> Tensor:
        """Return xi ~ N(0, 1) for a step, float64."""
        block, row = divmod(step, BLOCK)
        if block != self._block:
            drawn = [
                gaussian(self.seed, run, self.purpose, block, (BLOCK, *shape))
                for run, shape in zip(self.runs, self.shapes, strict=True)
            ]
            self._numbers = torch.from_numpy(np.concatenate(drawn, axis=1)).to(self.device)
            self._block = block
        return self._numbers[row]

    def keep(self, structures: Sequence[int]) -> None:
        """Keep only these runs of the batch (indices in ascending order)."""
        self.runs = [self.runs[b] for b in structures]
        self.shapes = [self.shapes[b] for b in structures]
        self._block = None

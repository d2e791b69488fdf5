"""The pairs of a Verlet list as kernels want them."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

PAIRS_IN_PART = 32_768
MOST_PARTS = 8


@dataclass(frozen=True)
class Part:
    """Atoms ``first`` to ``last``, whose neighbours are among ``low`` to ``high``: the work of one thread."""

    first: int
    last: int
    low: int
    high: int


@dataclass(eq=False)
class SkinPairs:
    """All pairs of a Verlet list, those in the skin too: those of atom i lie from ``first_of[i]`` on.

    Parameters
    ----------
    first_of, j_of, offset_of
        (N + 1,); the other end of each pair, and the place of its lattice translation in ``offsets``, (E,).
    structure, numbers
        Of each atom (N,).
    parts
        Shares of the work. They depend on neither the number of threads nor, but for their order, on other structures:
        sums are always the same.
    offsets
        Lattice translations in angstrom (S, 3).
    scratch
        Room that kernels keep while the list lasts.
    """

    first_of: NDArray[np.int64]
    j_of: NDArray[np.int32]
    offset_of: NDArray[np.int32]
    structure: NDArray[np.int64]
    numbers: NDArray[np.int64]
    parts: list[Part]
    offsets: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))
    scratch: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        i_of: NDArray[np.int64],
        j_of: NDArray[np.int64],
        offset_of: NDArray[np.int32],
        structure: NDArray[np.int64],
        numbers: NDArray[np.int64],
    ) -> Self:
        """Lay out pairs that are sorted by their first atom."""
        first_of = np.searchsorted(i_of, np.arange(len(numbers) + 1))
        return cls(first_of, j_of.astype(np.int32), offset_of, structure, numbers, divided(first_of, structure))

    @property
    def n_structures(self) -> int:
        """Number of structures."""
        return int(self.structure[-1]) + 1


def divided(first_of: NDArray[np.int64], structure: NDArray[np.int64]) -> list[Part]:
    """Return small structures together and large ones in pieces, each with about PAIRS_IN_PART pairs or more."""
    starts = np.flatnonzero(np.diff(structure, prepend=-1)).tolist()
    together = max(PAIRS_IN_PART, int(first_of[-1]) // MOST_PARTS)
    found: list[Part] = []
    waiting = 0
    for low, high in pairwise([*starts, len(structure)]):
        pairs = int(first_of[high] - first_of[low])
        if pairs >= 2 * PAIRS_IN_PART:
            found += [Part(waiting, low, waiting, low)] * (waiting < low)
            pieces = min(pairs // PAIRS_IN_PART, MOST_PARTS)
            wanted = first_of[low] + pairs * np.arange(1, pieces) // pieces
            ends = [low, *np.searchsorted(first_of[: high + 1], wanted).tolist(), high]
            found += [Part(a, b, low, high) for a, b in pairwise(ends)]
            waiting = high
        elif first_of[high] - first_of[waiting] >= together:
            found.append(Part(waiting, high, waiting, high))
            waiting = high
    return [*found, *[Part(waiting, len(structure), waiting, len(structure))] * (waiting < len(structure))]

"""The pairs of a Verlet list as kernels want them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

PAIRS_IN_PART = 49_152
MOST_PARTS = 8


@dataclass(frozen=True, eq=False)
class Part:
    """The work of one thread: atoms ``first`` to ``last``, whose neighbours are among ``low`` to ``high``.

    ``structures`` are the first of these atoms' structures and that after the last.
    """

    first: int
    last: int
    low: int
    high: int
    structures: tuple[int, int]

    @property
    def leads(self) -> bool:
        """Whether it is the first part, or the only one, of its structures."""
        return self.first == self.low

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Atoms ``first`` and ``last``, and the first atom and structure of its sums."""
        return np.array([self.first, self.last, self.low, self.structures[0]])

    def rows_of(self, arrays: Sequence[NDArray[np.float64]], of_atoms: int) -> tuple[NDArray[np.float64], ...]:
        """Return the rows of its atoms, of the first ``of_atoms`` arrays, and of its structures, of the others."""
        atoms, structures = slice(self.low, self.high), slice(*self.structures)
        return tuple(a[atoms if k < of_atoms else structures] for k, a in enumerate(arrays))


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
    """

    first_of: NDArray[np.int64]
    j_of: NDArray[np.int32]
    offset_of: NDArray[np.int32]
    structure: NDArray[np.int64]
    numbers: NDArray[np.int64]
    parts: list[Part]
    offsets: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))

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
    together = max(PAIRS_IN_PART, int(first_of[-1]) // MOST_PARTS)
    found: list[tuple[int, int, int, int]] = []
    waiting = 0
    for low, high in pairwise([*np.flatnonzero(np.diff(structure, prepend=-1)).tolist(), len(structure)]):
        pieces = _pieces(int(first_of[high] - first_of[low]))
        if pieces > 1:
            found += [(waiting, low, waiting, low)] * (waiting < low)
            wanted = first_of[low] + (first_of[high] - first_of[low]) * np.arange(1, pieces) // pieces
            ends = [low, *np.searchsorted(first_of[: high + 1], wanted).tolist(), high]
            found += [(a, b, low, high) for a, b in pairwise(ends)]
            waiting = high
        elif first_of[high] - first_of[waiting] >= together:
            found.append((waiting, high, waiting, high))
            waiting = high
    found += [(waiting, len(structure), waiting, len(structure))] * (waiting < len(structure))
    return [Part(*part, (int(structure[part[0]]), int(structure[part[1] - 1]) + 1)) for part in found]


def _pieces(pairs: int) -> int:
    """Return the number of parts for a structure with this many pairs: 2, 4 or 8, which few threads share evenly."""
    pieces = 1
    while 2 * pieces <= MOST_PARTS and pairs >= 2 * pieces * PAIRS_IN_PART:
        pieces *= 2
    return pieces

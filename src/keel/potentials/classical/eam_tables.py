"""Tables of an EAM for its kernel: built for the pairs of elements that occur, as fine as their error demands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keel.atoms.frame import Array
from keel.potentials.classical.eam_terms import EAMTerms

INTERVALS = (800, 1600, 3200, 6400)
"""Numbers of points, of which the first with a sufficient error is used; the switch begins at a grid point (0.66 of
all)."""
ERROR = 1e-7
"""Largest error of a derivative in eV/angstrom, or as a share of it where it is larger than 1 eV/angstrom."""
MOST_PAIRS = 2000
"""Number of cached tables, 51 kB each."""

Function = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Value and derivative at distances (angstrom)."""


class EAMTables:
    """Values and derivatives of an EAM's functions as cubics on equal intervals of r, float64.

    Parameters
    ----------
    terms
        The functions, with parameters in float64 on CPU. Contacts are left out: below them tables are not valid.

    Attributes
    ----------
    densities
        Of each element, shape (elements, intervals, 8): four coefficients of the value, four of the derivative, in the
        place within the interval, 0 to 1.
    pairs, pair_of
        phi of the pairs that have occurred, shape (P, intervals, 8), and their places, shape (elements, elements).
    step
        Intervals per angstrom, and their number.
    resets
        How often tables of pairs were thrown away, and with them the places of pairs that were known before.
    """

    def __init__(self, terms: EAMTerms) -> None:
        self.terms = terms
        self._free = terms.without_contacts()
        n = terms.n_elements
        self.embedding = self.terms.embedding.numpy()
        functions = [self._density(k) for k in range(n)]
        # The first pair represents all: the exponents decide, and they are similar.
        functions += [self._pair(k, k) for k in range(n)]
        self.intervals = next((m for m in INTERVALS if self._suffices(functions, m)), INTERVALS[-1])
        self.densities = np.stack([self._tabulated(f) for f in functions[:n]])
        self.pairs = np.empty((0, self.intervals, 8))
        self.pair_of = np.full((n, n), -1)
        self.step = np.array([self.intervals / terms.cutoff, self.intervals])
        self.resets = 0

    def cover(self, species: NDArray[np.int64], structure: NDArray[np.int64]) -> None:
        """Make tables of all pairs of elements of a structure; both are of atoms, (N,)."""
        present = np.zeros((int(structure.max(initial=0)) + 1, len(self.pair_of)), dtype=np.float32)
        present[structure, species] = 1.0
        together = np.triu(present.T @ present > 0.0)
        absent = np.argwhere(together & (self.pair_of < 0)).tolist()
        if not absent:
            return
        if len(self.pairs) + len(absent) > MOST_PAIRS:
            self.pairs, self.pair_of = self.pairs[:0], np.full_like(self.pair_of, -1)
            self.resets += 1
            absent = np.argwhere(together).tolist()
        for place, (a, b) in enumerate(absent, len(self.pairs)):
            self.pair_of[a, b] = self.pair_of[b, a] = place
        self.pairs = np.concatenate([self.pairs, self._tabulated(self._all_of(absent))])

    def _suffices(self, functions: list[Function], intervals: int) -> bool:
        cutoff = self.terms.cutoff
        return all(error_of(tabulated(f, cutoff, intervals), f, cutoff) <= ERROR for f in functions)

    def _density(self, element: int) -> Function:
        def function(r: Tensor) -> tuple[Tensor, Tensor]:
            donor = torch.full(r.shape, element)
            return self._free.density(self._free.felt(r, donor), donor)

        return function

    def _pair(self, first: int, second: int) -> Function:
        def function(r: Tensor) -> tuple[Tensor, Tensor]:
            pair = torch.full(r.shape, first * self.terms.n_elements + second)
            return self._free.pair(self._free.felt(r, pair), pair)

        return function

    def _all_of(self, pairs: list[list[int]]) -> Function:
        """Return the functions of P pairs at K distances, (P, K), in one call."""
        places = torch.tensor([a * self.terms.n_elements + b for a, b in pairs])

        def function(r: Tensor) -> tuple[Tensor, Tensor]:
            every = r.repeat(len(places))
            of_pairs = places.repeat_interleave(len(r))
            value, slope = self._free.pair(self._free.felt(every, of_pairs), of_pairs)
            return value.view(len(places), -1), slope.view(len(places), -1)

        return function

    def _tabulated(self, function: Function) -> Array:
        return tabulated(function, self.terms.cutoff, self.intervals)


def tabulated(function: Function, cutoff: float, intervals: int) -> Array:
    """Return functions as cubics on equal intervals up to the cutoff, (..., intervals, 8): value, then derivative."""
    width, h = cutoff / intervals, 1e-5
    r = torch.linspace(0.0, cutoff, intervals + 1, dtype=torch.float64)
    value, slope = (t.numpy() for t in function(r))
    curvature = ((function(r + h)[1] - function(r - h)[1]) / (2.0 * h)).numpy()
    return np.concatenate([_cubics(value, width * slope), _cubics(slope, width * curvature)], axis=-1)


def error_of(table: Array, function: Function, cutoff: float) -> float:
    """Return the largest error of a table's derivative, in eV/angstrom or as a share where it is larger than 1."""
    places = np.array([0.25, 0.5, 0.75])
    r = torch.as_tensor((np.arange(len(table))[:, None] + places) * cutoff / len(table)).reshape(-1)
    exact = function(r)[1].detach().numpy().reshape(-1, len(places))
    powers = places ** np.arange(4)[:, None]
    return float((np.abs(table[:, 4:] @ powers - exact) / np.maximum(1.0, np.abs(exact))).max())


def _cubics(values: Array, steps: Array) -> Array:
    """Return coefficients of Hermite's cubics through values with derivatives, per interval, (..., intervals, 4)."""
    a, b, da, db = values[..., :-1], values[..., 1:], steps[..., :-1], steps[..., 1:]
    return np.stack([a, da, 3.0 * (b - a) - 2.0 * da - db, 2.0 * (a - b) + da + db], axis=-1)

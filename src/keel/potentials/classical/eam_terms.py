"""The functions of the embedded-atom method, evaluated over many pairs, with their derivatives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from keel.potentials.classical.contact import clamped
from keel.potentials.switch import quintic_switch, quintic_switch_derivative

SWITCH_START = 0.66
"""The switch begins at this fraction of the cutoff."""


class Felt(NamedTuple):
    """The effective distance q(r) of pairs, dq/dr, and the switch at q with its derivative; all (E,)."""

    q: Tensor
    dq: Tensor
    s: Tensor
    ds: Tensor


class Evaluation(NamedTuple):
    """Atomic energies (N,) in eV, dE/dr of each pair (E,) in eV/angstrom, electron density at each atom (N,)."""

    energies: Tensor
    slope: Tensor
    density: Tensor


@dataclass(frozen=True)
class EAMTerms:
    """The functions of an EAM with their parameters laid out for evaluation over many pairs.

    Per ordered pair of elements a * n_elements + b: ``alpha``, ``log_scale`` (alpha radius), ``repulsion``,
    ``attraction``, ``contact`` (angstrom); per element ``beta``, ``log_density`` (ln density +
    beta radius), ``embedding``. Each function returns its value and its derivative.
    """

    n_elements: int
    alpha: Tensor
    log_scale: Tensor
    repulsion: Tensor
    attraction: Tensor
    contact: Tensor
    beta: Tensor
    log_density: Tensor
    embedding: Tensor
    delta: float
    cutoff: float

    def without_contacts(self) -> EAMTerms:
        """Return the functions as they would be without contacts."""
        return replace(self, contact=torch.zeros_like(self.contact))

    def evaluate(self, r: Tensor, edge_index: Tensor, species: Tensor) -> Evaluation:
        """Evaluate a half list of pairs at distances r (E,)."""
        i, j = edge_index
        first, second = species.index_select(0, i), species.index_select(0, j)
        pair = first * self.n_elements + second
        at = self.felt(r, pair)
        phi, phi_slope = self.pair(at, pair)
        to_i, to_i_slope = self.density(at, second)
        to_j, to_j_slope = (to_i, to_i_slope) if self.n_elements == 1 else self.density(at, first)
        rho = r.new_zeros(species.shape[0]).index_add(0, i, to_i).index_add(0, j, to_j)
        energies, embedding_slope = self.embed(rho, species)
        slope = (
            phi_slope
            + embedding_slope.index_select(0, i) * to_i_slope
            + embedding_slope.index_select(0, j) * to_j_slope
        )
        half = 0.5 * phi
        return Evaluation(energies.index_add(0, i, half).index_add(0, j, half), slope, rho)

    def felt(self, r: Tensor, pair: Tensor) -> Felt:
        """Return effective distances of pairs: r, but constant from a fifth of a contact below it (:func:`clamped`)."""
        q, dq = clamped(r, self._take(self.contact, pair))
        return Felt(q, dq, *switch(q, self.cutoff))

    def pair(self, at: Felt, pair: Tensor) -> tuple[Tensor, Tensor]:
        """Phi = (repulsion x^2 - attraction x) s, at q, and its derivative, in eV and eV/angstrom."""
        alpha = self._take(self.alpha, pair)
        x = torch.exp(self._take(self.log_scale, pair) - alpha * at.q)
        repulsive = self._take(self.repulsion, pair) * x
        attraction = self._take(self.attraction, pair)
        phi = (repulsive - attraction) * x
        slope = alpha * x * (attraction - 2.0 * repulsive)
        return phi * at.s, (slope * at.s + phi * at.ds) * at.dq

    def density(self, at: Felt, donor: Tensor) -> tuple[Tensor, Tensor]:
        """Electron density of a donor and its derivative (1/angstrom)."""
        beta = self._take(self.beta, donor)
        f = torch.exp(self._take(self.log_density, donor) - beta * at.q)
        return f * at.s, f * (at.ds - beta * at.s) * at.dq

    def embed(self, rho: Tensor, species: Tensor) -> tuple[Tensor, Tensor]:
        """F(rho) = -embedding [sqrt(rho + delta) - sqrt(delta)] and dF/d rho, in eV."""
        root = torch.sqrt(rho + self.delta)
        embedding = self._take(self.embedding, species)
        return embedding * (self.delta**0.5 - root), -0.5 * embedding / root

    @staticmethod
    def _take(table: Tensor, index: Tensor) -> Tensor:
        """Gather, or broadcast where there is one entry only."""
        return table if len(table) == 1 else table.index_select(0, index)


def switch(r: Tensor, cutoff: float) -> tuple[Tensor, Tensor]:
    """Return the quintic C2 switch from 1 at 0.66 cutoff to 0 at the cutoff, and its derivative."""
    inner = SWITCH_START * cutoff
    return quintic_switch(r, inner, cutoff), quintic_switch_derivative(r, inner, cutoff)

"""Potentials that are broken on purpose, each in one way, around a sound one: what probes must find."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from keel.atoms.graph import AtomGraph
from keel.potentials import Potential
from keel.potentials.base import lengths
from keel.potentials.switch import quintic_switch


class Broken(Potential):
    """A sound potential inside; its energies come out as a concrete class makes them."""

    def __init__(self, sound: Potential, cutoff: float | None = None) -> None:
        super().__init__(cutoff or sound.cutoff, sound.elements)
        self.sound, self.half_list = sound, sound.half_list

    @property
    def dtype(self) -> torch.dtype:
        return self.sound.dtype

    def config(self) -> dict[str, Any]:
        return {}

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        return self.sound.atomic_energies(graph, vectors)


class SignFlip(Broken):
    """Below 1 angstrom a pair interacts as if it were as far above: E'(r) = E(2 - r), so the force changes its sign."""

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        r = lengths(vectors)[:, None]
        return super().atomic_energies(graph, torch.where(r < 1, (2 / r - 1) * vectors, vectors))


class Truncated(Broken):
    """Neighbours count in full up to 0.6 of the cutoff, and not at all beyond."""

    def __init__(self, sound: Potential) -> None:
        super().__init__(sound, 0.6 * sound.cutoff)


class HalfPrecision(Broken):
    """Distances, energies and gradients are rounded to float16."""

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        energies = super().atomic_energies(graph, vectors.half().to(vectors.dtype))
        return energies.half().to(vectors.dtype)


class NonConservative(Broken):
    """A force on each pair besides, (n_i + n_j) s(r) r, that ignores how the coordination n changes with distance.

    It is smooth, equivariant, local, and obeys Newton's third law.
    """

    def __init__(self, sound: Potential, strength: float) -> None:
        super().__init__(sound)
        self.strength = strength

    def energies_and_gradient(
        self, graph: AtomGraph, vectors: Tensor, *, differentiable: bool
    ) -> tuple[Tensor, Tensor]:
        energies, gradient = self.sound.energies_and_gradient(graph, vectors, differentiable=differentiable)
        i, j = graph.edge_index
        s = quintic_switch(lengths(vectors.detach()), 0.5 * self.cutoff, self.cutoff)
        n = s.new_zeros(graph.n_atoms).index_add(0, i, s).index_add(0, j, s)
        return energies, gradient + (self.strength * (n[i] + n[j]) * s)[:, None] * vectors.detach()

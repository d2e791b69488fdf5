"""Small systems with known answers, shared by the tests of dynamics and evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ase.build import bulk
from torch import Tensor

from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph
from keel.dynamics import MDSettings
from keel.potentials import PairPotential, Potential


def argon(repeat: int = 2, rattle: float = 0.05, seed: int = 0, a: float = 5.26) -> Frame:
    """Return an fcc crystal of 4 repeat^3 argon atoms."""
    atoms = bulk("Ar", "fcc", a=a, cubic=True).repeat(repeat)
    atoms.rattle(rattle, seed=seed)
    return frame_of(atoms)


def frame_of(atoms: Any) -> Frame:
    """Return bare ``ase.Atoms`` as a frame."""
    return Frame(atoms.numbers.astype(np.int64), atoms.positions.copy(), np.array(atoms.cell), np.array(atoms.pbc))


def molecule(positions: list[list[float]], numbers: list[int]) -> Frame:
    """Return atoms without a cell."""
    return Frame(np.array(numbers), np.array(positions, dtype=float))


def of_steps(steps: int, timestep_fs: float = 1.0, **others: Any) -> MDSettings:
    """Return settings of simulations of so many steps."""
    return MDSettings(length_fs=steps * timestep_fs, timestep_fs=timestep_fs, **others)


class Spring(PairPotential):
    """phi = stiffness (r - length)^2 / 2 up to the cutoff, in eV and angstrom."""

    def __init__(self, stiffness: float = 5.0, length: float = 2.0, cutoff: float = 3.0) -> None:
        super().__init__(cutoff)
        self.stiffness, self.length = stiffness, length
        self.register_buffer("precision", torch.zeros((), dtype=torch.float64))

    def config(self) -> dict[str, Any]:
        return {"stiffness": self.stiffness, "length": self.length, "cutoff": self.cutoff}

    def pair_energy(self, r: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        stretch = r - self.length
        return 0.5 * self.stiffness * stretch.square(), self.stiffness * stretch


class IdealGas(Potential):
    """Atoms that do not see each other."""

    def __init__(self) -> None:
        super().__init__(cutoff=1.0)

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        return 0.0 * graph.positions.sum(dim=1)

    def config(self) -> dict[str, Any]:
        return {}


class Given(Potential):
    """Forces that are any function of the graph, conservative or not."""

    def __init__(self, forces: Any, cutoff: float = 4.0) -> None:
        super().__init__(cutoff)
        self.given = forces
        self.register_buffer("precision", torch.zeros((), dtype=torch.float64))

    def config(self) -> dict[str, Any]:
        return {}

    def atomic_energies(self, graph: AtomGraph, vectors: Tensor) -> Tensor:
        return vectors.new_zeros(graph.n_atoms)

    def derivatives(
        self,
        graph: AtomGraph,
        *,
        differentiable: bool,
        vectors: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        zero = graph.positions.new_zeros(graph.n_atoms)
        return zero, self.given(graph), graph.positions.new_zeros(graph.n_structures, 3, 3)

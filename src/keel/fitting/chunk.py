"""Some frames of an EAM fit, laid out for many evaluations: pairs sorted by elements, distances and switch once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from keel.atoms.frame import Array
from keel.atoms.graph import AtomGraph
from keel.fitting.angular import AngularColumns
from keel.parallel import plain
from keel.potentials.classical.eam import EAM
from keel.potentials.classical.eam_terms import switch

if TYPE_CHECKING:
    from typing import Self

PAIR_COLUMNS, ELEMENT_COLUMNS = ("alpha", "repulsion", "attraction"), ("density", "beta", "embedding")
COLUMNS = (*PAIR_COLUMNS, *ELEMENT_COLUMNS, "angular")
"""Kinds of parameters, in the order of gradients and Jacobians."""


class Pairs(NamedTuple):
    """E pairs, each once, sorted into segments of two elements in one structure, the lower element first.

    ``r`` (E,); ``switch`` (2, E), its value and derivative; ``unit`` (3, E); ``atoms`` (2, E); ``segments`` have
    structure, first and second element, place of the pair of elements, first pair and the pair after the last.
    """

    r: Array
    switch: Array
    unit: Array
    atoms: NDArray[np.uint32]
    segments: NDArray[np.int64]

    @classmethod
    def of(cls, graph: AtomGraph, model: EAM) -> Self:
        """Sort the pairs of a half list in float64."""
        vectors, edges = graph.edge_vectors(), plain(graph.edge_index)
        ends = plain(model.species(graph))[edges]
        swapped = ends[0] > ends[1]
        atoms = np.where(swapped, edges[::-1], edges)
        low, high = np.sort(ends, axis=0)
        structure = plain(graph.batch)[edges[0]]
        key = (structure * len(model.symbols) + low) * len(model.symbols) + high
        order = np.argsort(key, kind="stable")
        first = np.flatnonzero(np.diff(key[order], prepend=-1))
        rows = order[first]
        pair = plain(model.pair_index)[low[rows] * len(model.symbols) + high[rows]]
        r = vectors.norm(dim=1)
        unit = plain(vectors / r[:, None]) * np.where(swapped, -1.0, 1.0)[:, None]
        return cls(
            r=plain(r)[order],
            switch=np.stack([plain(part)[order] for part in switch(r, model.cutoff)]),
            unit=np.ascontiguousarray(unit[order].T),
            atoms=np.ascontiguousarray(atoms[:, order], dtype=np.uint32),
            segments=np.stack([structure[rows], low[rows], high[rows], pair, first, [*first[1:], len(r)]], axis=1)
            if len(r)
            else np.zeros((0, 6), dtype=np.int64),
        )


class Parameters(NamedTuple):
    """Parameters as kernels take them, or their gradients, which have no last column.

    ``of_pairs`` (pairs, 4) are alpha, repulsion, attraction, radius; ``of_elements`` (elements, 4) density, beta,
    embedding, radius.
    """

    of_pairs: Array
    of_elements: Array

    @classmethod
    def of(cls, model: EAM, values: Mapping[str, Tensor]) -> Self:
        """Lay out ``values`` as of :meth:`EAM.values`."""
        pairs = [*(values[name] for name in PAIR_COLUMNS), model.pair_radius]
        elements = [*(values[name] for name in ELEMENT_COLUMNS), model.element_radius]
        return cls(*(np.stack([plain(column) for column in columns], axis=1) for columns in (pairs, elements)))


@dataclass(frozen=True, eq=False)
class Chunk:
    """B structures with N atoms, in float64.

    Errors of ``forces`` times ``force_weight`` (N, 1) and of ``stress`` times ``stress_weight`` (B, 1, 1), squared, are
    their share in the loss; weights are zero where a label is absent. ``volume`` (B, 1, 1) is 1 without a cell.
    ``angular`` are the columns of a three-body term, none without one.
    """

    pairs: Pairs
    species: NDArray[np.int64]
    structure: NDArray[np.int64]
    volume: Array
    forces: Array
    force_weight: Array
    stress: Array
    stress_weight: Array
    angular: AngularColumns

    def errors(self, forces: Array, virial: Array) -> tuple[Array, Array]:
        """Return weighted errors of forces (N, 3) and of the stress (B, 3, 3) that belongs to a virial."""
        stress = virial / self.volume
        return (forces - self.forces) * self.force_weight, (stress - self.stress) * self.stress_weight


class Evaluation:
    """A chunk under given parameters: forward for energies and derivatives, backward for the gradient of a loss.

    Attributes
    ----------
    energy
        Of each structure, in eV, without offsets (B,).
    rho
        Electron density at each atom (N,).
    """

    def __init__(
        self,
        chunk: Chunk,
        parameters: Parameters,
        delta: float,
        work: Array | None = None,
        angular: Array | None = None,
    ) -> None:
        from keel.fitting.kernels import embed, energies

        self.chunk, self.parameters, self.delta = chunk, parameters, delta
        self.work = np.empty((4, len(chunk.pairs.r))) if work is None else work
        self.angular = np.zeros(0) if angular is None else angular
        self.rho, self.root = np.zeros((2, len(chunk.species)))
        self.energy = np.zeros(len(chunk.volume))
        energies(chunk.pairs, parameters, self.work, self.rho, self.energy)
        embed(chunk.species, chunk.structure, parameters.of_elements, delta, self.rho, self.root, self.energy)
        if len(self.angular):
            of_angles, *self._of_angles = chunk.angular.times(self.angular)
            self.energy += of_angles

    def derivatives(self) -> tuple[Array, Array]:
        """Return forces (N, 3) in eV/angstrom and virials (B, 3, 3) in eV."""
        from keel.fitting.kernels import derivatives

        forces, virial = np.zeros((len(self.rho), 3)), np.zeros((len(self.energy), 3, 3))
        derivatives(self.chunk.pairs, self.parameters, self.work, self.slopes(), forces, virial)
        if len(self.angular):
            forces, virial = forces + self._of_angles[0], virial + self._of_angles[1]
        return forces, virial

    def slopes(self) -> Array:
        """Return dF/d rho at each atom (N,), in eV."""
        return np.asarray(-0.5 * self.parameters.of_elements[self.chunk.species, 2] / self.root)

    def gradient(self, on_energy: Array, on_rho: float) -> tuple[float, Parameters, Array]:
        """Return the loss in forces and stress, and the gradient of it + on_energy . energy + on_rho sum rho.

        The gradient has three columns of pairs and three of elements, and is that of a three-body term's coefficients.
        """
        from keel.fitting.kernels import pull_atoms, pull_densities, pull_pairs

        chunk, (of_pairs, of_elements) = self.chunk, self.parameters
        forces, stress = chunk.errors(*self.derivatives())
        pulls = (2.0 * chunk.force_weight * forces, 2.0 * chunk.stress_weight / chunk.volume * stress, on_energy)
        found = Parameters(np.zeros((len(of_pairs), 3)), np.zeros((len(of_elements), 3)))
        slopes, pull = self.slopes(), np.zeros(len(self.rho))
        pull_pairs(chunk.pairs, self.parameters, self.work, pulls, pull, found.of_pairs)
        at = (chunk.species, chunk.structure, of_elements, self.delta, self.root)
        pull_atoms(*at, (pull, on_energy, on_rho), found.of_elements)
        pull_densities(chunk.pairs, of_elements, self.work, slopes, pull, found.of_elements)
        of_angles = chunk.angular.gradient(on_energy, *pulls[:2], len(self.angular))
        return float(np.vdot(forces, forces) + np.vdot(stress, stress)), found, of_angles

"""The labels of an EAM fit, laid out for many evaluations: distances once, in chunks that stay in cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from keel.atoms.frame import Array, Frame
from keel.atoms.graph import AtomGraph
from keel.atoms.neighbours import batch, labelled_atoms
from keel.fitting.offsets import compositions
from keel.potentials.classical.eam import EAM

CHUNK_ATOMS = 700
EXTREME_FORCE = 4.0  # eV/angstrom
SMALLEST_FORCE, SMALLEST_STRESS = 1e-3, 1e-4
"""eV/angstrom and eV/angstrom^3; a root mean square below is noise of the calculation, not a measure of errors."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some frames: B structures, N atoms, E pairs (each once), in float64.

    Errors of ``forces`` times ``force_weight`` (N, 1) and of ``stress`` times ``stress_weight`` (B, 1, 1), squared, are
    their share in the loss; weights are zero where a label is absent.
    """

    r: Tensor
    unit: Tensor
    edge_index: Tensor
    species: Tensor
    structure: Tensor
    edges_per_structure: list[int]
    volume: Tensor
    forces: Tensor
    force_weight: Tensor
    stress: Tensor
    stress_weight: Tensor

    def errors(self, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Return weighted errors of forces (N, 3) and stress (B, 3, 3) from dE/dr (E,) of each pair."""
        gradient = slope[:, None] * self.unit
        i, j = self.edge_index
        zeros = slope.new_zeros(len(self.species), 3)
        forces = zeros.index_add(0, i, gradient) - zeros.index_add(0, j, gradient)
        vectors = (self.r[:, None] * self.unit).split(self.edges_per_structure)
        pairs = zip(vectors, gradient.split(self.edges_per_structure), strict=True)
        stress = torch.stack([v.T @ g for v, g in pairs]) / self.volume
        return (forces - self.forces) * self.force_weight, (stress - self.stress) * self.stress_weight


@dataclass(frozen=True, eq=False)
class FitData:
    """All labels of a fit to F frames.

    ``atoms`` (F,) per frame; ``energy`` (F,) per atom, without the known energies of atoms alone; ``energy_weight``
    (F,); ``composition`` (F, elements), the fraction of each element whose offset is to be found, else 0.
    """

    chunks: list[Chunk]
    atoms: Tensor
    energy: Tensor
    energy_weight: Tensor
    composition: Tensor


@dataclass(frozen=True)
class Weights:
    """What an error costs: shares of one label so that each kind's sum of squares is a mean over the data."""

    energy: float
    force: float
    stress: float

    @classmethod
    def of(cls, frames: Sequence[Frame], energy_weight: float, stress_weight: float) -> Weights:
        """Measure forces and stress by their own root mean square; energies in eV per atom by ``energy_weight``.

        A label that is zero throughout has no size to be measured by, and gets no weight.
        """
        energies = sum(f.energy is not None for f in frames)
        forces = np.concatenate(
            [f.forces[labelled_atoms(f)] for f in frames if f.forces is not None] or [np.zeros((0, 3))]
        )
        stress = np.array([f.stress for f in frames if f.stress is not None])
        return cls(
            energy=energy_weight / np.sqrt(max(energies, 1)),
            force=_share(forces * caution(forces), SMALLEST_FORCE, 1.0),
            stress=_share(stress, SMALLEST_STRESS, stress_weight),
        )


def _share(values: Array, smallest: float, weight: float) -> float:
    """``weight`` / (root mean square, but not less than ``smallest``) / sqrt(size); 0 where all values are zero."""
    if not values.any():
        return 0.0
    return weight / (max(float(np.sqrt(np.mean(values**2))), smallest) * float(np.sqrt(values.size)))


def fit_data(
    frames: Sequence[Frame],
    model: EAM,
    energy_weight: float,
    stress_weight: float,
    alone: Mapping[int, float] = MappingProxyType({}),
) -> FitData:
    """Lay out the labels of ``frames``; ``alone`` has the energies of atoms alone in eV that are known."""
    elements = model.elements or ()
    fractions = torch.as_tensor(compositions(frames, elements))
    known = torch.tensor([alone.get(z, 0.0) for z in elements], dtype=torch.float64)
    unknown = torch.tensor([z not in alone for z in elements])
    weights = Weights.of(frames, energy_weight, stress_weight)
    labelled = torch.tensor([f.energy is not None for f in frames])
    atoms = torch.tensor([len(f) for f in frames], dtype=torch.float64)
    return FitData(
        chunks=[
            _chunk(batch(group, model.cutoff, half_list=True, dtype=torch.float64), model, weights)
            for group in _groups(frames)
        ],
        atoms=atoms,
        energy=torch.tensor([f.energy or 0.0 for f in frames], dtype=torch.float64) / atoms - fractions @ known,
        energy_weight=weights.energy * labelled.double(),
        composition=fractions * unknown,
    )


def caution(forces: Array) -> Array:
    """1 / max(1, |F| / 4 eV/angstrom), shape (N, 1): one extreme force must not outvote all the others."""
    return np.asarray(1.0 / np.maximum(1.0, np.linalg.norm(forces, axis=1, keepdims=True) / EXTREME_FORCE))


def _chunk(graph: AtomGraph, model: EAM, weights: Weights) -> Chunk:
    labels = graph.labels
    assert labels is not None
    vectors = graph.edge_vectors()
    r = vectors.norm(dim=1)
    edges = torch.bincount(graph.batch[graph.edge_index[0]], minlength=graph.n_structures)
    has_forces = labels.forces_mask[:, None]
    has_stress = (labels.stress_mask & graph.periodic)[:, None, None]
    return Chunk(
        r=r,
        unit=vectors / r[:, None],
        edge_index=graph.edge_index,
        species=model.species(graph),
        structure=graph.batch,
        edges_per_structure=edges.tolist(),
        volume=torch.where(graph.periodic, graph.volume, 1.0)[:, None, None],
        forces=labels.forces,
        force_weight=weights.force * torch.as_tensor(caution(labels.forces.numpy())) * has_forces,
        stress=labels.stress,
        stress_weight=weights.stress * has_stress.double(),
    )


def _groups(frames: Sequence[Frame]) -> Iterator[list[Frame]]:
    """Consecutive frames of about CHUNK_ATOMS atoms together."""
    group: list[Frame] = []
    for frame in frames:
        if group and sum(map(len, group)) + len(frame) > CHUNK_ATOMS:
            yield group
            group = []
        group.append(frame)
    if group:
        yield group

"""The labels of an EAM fit and what each weighs, in chunks that stay in cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch

from keel.atoms.batching import batch
from keel.atoms.frame import Array, Frame
from keel.atoms.graph import AtomGraph
from keel.atoms.neighbours import labelled_atoms
from keel.fitting.angular import angular_columns
from keel.fitting.chunk import Chunk, Pairs
from keel.fitting.offsets import compositions
from keel.parallel import plain
from keel.potentials.classical.eam import EAM
from keel.potentials.classical.three_body import ThreeBody

CHUNK_ATOMS = 250
EXTREME_FORCE = 4.0  # eV/angstrom
SMALLEST_FORCE, SMALLEST_STRESS = 1e-3, 1e-4
"""eV/angstrom and eV/angstrom^3; a smaller root mean square is noise of the calculation, not a measure of errors."""


@dataclass(frozen=True, eq=False)
class FitData:
    """All labels of a fit to F frames.

    ``atoms`` (F,) per frame; ``energy`` (F,) per atom, without the known energies of atoms alone; ``energy_weight``
    (F,); ``composition`` (F, elements), the fraction of each element whose offset is to be found, else 0.
    """

    chunks: list[Chunk]
    atoms: Array
    energy: Array
    energy_weight: Array
    composition: Array


@dataclass(frozen=True)
class Weights:
    """The cost of errors: shares of each label such that each kind's sum of squares is a mean over the data."""

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
    angular: ThreeBody | None = None,
) -> FitData:
    """Lay out the labels of ``frames``; ``alone`` has the energies of atoms alone in eV that are known.

    ``angular`` is a three-body term whose coefficients are fitted too.
    """
    elements = model.elements or ()
    fractions = compositions(frames, elements)
    known = np.array([alone.get(z, 0.0) for z in elements])
    unknown = np.array([z not in alone for z in elements])
    weights = Weights.of(frames, energy_weight, stress_weight)
    labelled = np.array([f.energy is not None for f in frames])
    atoms = np.array([float(len(f)) for f in frames])
    return FitData(
        chunks=[
            _chunk(batch(group, model.cutoff, half_list=True, dtype=torch.float64), model, weights, angular)
            for group in _groups(frames)
        ],
        atoms=atoms,
        energy=np.array([f.energy or 0.0 for f in frames]) / atoms - fractions @ known,
        energy_weight=weights.energy * labelled,
        composition=fractions * unknown,
    )


def caution(forces: Array) -> Array:
    """1 / max(1, |F| / 4 eV/angstrom), shape (N, 1): one extreme force must not outvote all the others."""
    return np.asarray(1.0 / np.maximum(1.0, np.linalg.norm(forces, axis=1, keepdims=True) / EXTREME_FORCE))


def _chunk(graph: AtomGraph, model: EAM, weights: Weights, angular: ThreeBody | None) -> Chunk:
    labels = graph.labels
    assert labels is not None
    forces, periodic = plain(labels.forces), plain(graph.periodic)
    return Chunk(
        pairs=Pairs.of(graph, model),
        species=plain(model.species(graph)),
        structure=plain(graph.batch),
        volume=np.where(periodic, plain(graph.volume), 1.0)[:, None, None],
        forces=forces,
        force_weight=weights.force * caution(forces) * plain(labels.forces_mask)[:, None],
        stress=plain(labels.stress),
        stress_weight=weights.stress * (plain(labels.stress_mask) & periodic)[:, None, None],
        angular=angular_columns(angular, graph),
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

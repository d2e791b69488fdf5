"""Labelling children with a teacher, and setting aside those whose labels are too extreme to learn from."""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields, replace
from itertools import compress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keel.atoms.frame import Array
from keel.atoms.graph import AtomGraph, Labels
from keel.parallel import plain
from keel.perturbation.children import ChildPairs
from keel.perturbation.graphs import half_graph
from keel.perturbation.settings import PerturbationSettings
from keel.potentials.base import Potential, Prediction
from keel.potentials.classical.along import AlongLists, follows_lists
from keel.showing import Facts, Shown, number_of


@dataclass(repr=False)
class Counts(Shown):
    """How many children were made and set aside, by round; all shape (rounds,).

    Parameters
    ----------
    made
        Children made, kept or not.
    force_cap
        Set aside because a force lies beyond the cap, or is not finite.
    energy_cap
        Set aside because the energy lies beyond the cap.
    """

    made: NDArray[np.int64]
    force_cap: NDArray[np.int64]
    energy_cap: NDArray[np.int64]

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        counts = {"made": self.made, "beyond the force cap": self.force_cap, "beyond the energy cap": self.energy_cap}
        return {name: f"{int(number.sum()):,}" for name, number in counts.items()}

    @classmethod
    def zero(cls, rounds: int) -> Counts:
        """Return counts before the first child."""
        return cls(*(np.zeros(rounds, dtype=np.int64) for _ in range(3)))

    @property
    def kept(self) -> NDArray[np.int64]:
        """Children that were kept."""
        return self.made - self.force_cap - self.energy_cap

    def add(self, rounds: NDArray[np.int64], strong: NDArray[np.bool_], high: NDArray[np.bool_]) -> None:
        """Count children of the given rounds, of which some have too strong forces or too high an energy."""
        size = len(self.made)
        self.made += np.bincount(rounds, minlength=size)
        self.force_cap += np.bincount(rounds[strong], minlength=size)
        self.energy_cap += np.bincount(rounds[high & ~strong], minlength=size)

    def __str__(self) -> str:
        """One sentence."""
        made = number_of(int(self.made.sum()), "structure")
        return (
            f"{made} made, {self.force_cap.sum()} set aside beyond the force cap, "
            f"{self.energy_cap.sum()} beyond the energy cap"
        )


def labels_of(prediction: Prediction, periodic: Tensor) -> Labels:
    """Return a prediction as labels; stress is masked if there is none: not every teacher has one."""
    if prediction.forces is None or prediction.stress is None:
        raise ValueError("labels need forces and stress")
    everywhere = torch.ones_like(periodic)
    stressed = periodic & prediction.stress.isfinite().all(dim=2).all(dim=1)
    return Labels(
        energy=prediction.energy,
        energy_mask=everywhere,
        forces=prediction.forces,
        forces_mask=torch.ones(len(prediction.forces), dtype=torch.bool, device=periodic.device),
        stress=torch.where(stressed[:, None, None], prediction.stress, 0.0),
        stress_mask=stressed,
    )


def without_energies(labels: Labels) -> Labels:
    """Return labels of which only the forces count."""
    zero = {"energy": torch.zeros_like(labels.energy), "stress": torch.zeros_like(labels.stress)}
    masks = {"energy_mask": torch.zeros_like(labels.energy_mask), "stress_mask": torch.zeros_like(labels.stress_mask)}
    return replace(labels, **zero, **masks)


class Labeller:
    """A teacher that labels children: along their lists if it is a closed form on CPU, else by a graph.

    Parameters
    ----------
    teacher
        Is copied.
    dtype
        Of forces and stresses, and of a teacher that needs a graph.
    """

    def __init__(self, teacher: Potential, dtype: torch.dtype) -> None:
        along = follows_lists(teacher)
        # Kernels compute in double precision in any case.
        precision = torch.float64 if along else dtype
        self.teacher = copy.deepcopy(teacher).to(precision).eval().requires_grad_(False)
        self.dtype = dtype
        self._along = self.teacher.along_lists() if along and isinstance(self.teacher, AlongLists) else None
        self._at_rest = plain(self.teacher.offsets().cpu())

    def __call__(self, pairs: ChildPairs, offsets: NDArray[np.int64]) -> tuple[Labels, Array]:
        """Return labels, and the largest squared force of each child (B,).

        Child b has atoms ``offsets[b]`` to ``offsets[b + 1]``.
        """
        if self._along is None:
            return self._by_graph(pairs, offsets)
        from keel.perturbation.kernels import total

        found = self._along(pairs.lists(), pairs.positions)
        n, size, periodic = len(pairs.numbers), len(pairs.cells), pairs.pbc.all(axis=1)
        energy, strongest = np.empty(size), np.empty(size)
        forces, stress = torch.empty(n, 3, dtype=self.dtype), torch.empty(size, 3, 3, dtype=self.dtype)
        atoms, at_rest = (found.energies, found.forces, found.virial), self._at_rest.take(pairs.numbers)
        total(atoms, at_rest, offsets, pairs.cells, periodic, (energy, plain(forces), plain(stress), strongest))
        masks = torch.ones(size, dtype=torch.bool), torch.ones(n, dtype=torch.bool), torch.from_numpy(periodic)
        return Labels(torch.from_numpy(energy), masks[0], forces, masks[1], stress, masks[2]), strongest

    def _by_graph(self, pairs: ChildPairs, offsets: NDArray[np.int64]) -> tuple[Labels, Array]:
        graph, vectors = half_graph(pairs, self.teacher.cutoff, self.dtype)
        device = self.teacher.device
        labels = labels_of(self.teacher(graph.to(device), vectors=vectors.to(device)), graph.periodic.to(device))
        labels = labels.to("cpu", self.dtype)
        squared = labels.forces.double().square().sum(dim=1).numpy()
        return labels, np.maximum.reduceat(squared, offsets[:-1])


def beyond_caps(
    strongest: Array, excess: Array, settings: PerturbationSettings
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which structures have a force, and which an energy, beyond its cap or not finite; both shape (B,).

    ``strongest`` (B,) is the largest squared force in eV^2/angstrom^2, ``excess`` (B,) the energy per atom above the
    parent's in eV.
    """
    # Not (x <= cap) rather than x > cap: NaN lies beyond every cap.
    force_cap = np.inf if settings.force_cap is None else settings.force_cap
    energy_cap = np.inf if settings.energy_cap is None else settings.energy_cap
    strong = ~((strongest <= force_cap**2) & np.isfinite(strongest))
    high = ~((excess <= energy_cap) & np.isfinite(excess))
    return strong, high


def select_structures(graph: AtomGraph, keep: Tensor) -> AtomGraph:
    """Return the batch with only the structures where ``keep`` (bool (B,)) says so."""
    atoms = keep.index_select(0, graph.batch)
    edges = atoms.index_select(0, graph.edge_index[0])
    new_atom, new_structure = atoms.cumsum(0) - 1, keep.cumsum(0) - 1
    part = graph.select_edges(edges)
    labels = graph.labels
    if labels is not None:
        rows = {f.name: getattr(labels, f.name)[atoms if f.name.startswith("forces") else keep] for f in fields(Labels)}
        labels = Labels(**rows)
    return replace(
        part,
        numbers=graph.numbers[atoms],
        positions=graph.positions[atoms],
        cell=graph.cell[keep],
        pbc=graph.pbc[keep],
        batch=new_structure[graph.batch[atoms]],
        edge_index=new_atom[part.edge_index],
        labels=labels,
        states=tuple(compress(graph.states, keep.tolist())),
    )

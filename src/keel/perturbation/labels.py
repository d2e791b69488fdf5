"""Labelling children with a teacher, and setting aside those whose labels are too extreme to be worth learning."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keel.atoms.graph import AtomGraph, Labels
from keel.perturbation.settings import PerturbationSettings
from keel.potentials.base import Prediction


@dataclass
class Counts:
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
        return (
            f"{self.made.sum()} children made, {self.force_cap.sum()} set aside beyond the force cap, "
            f"{self.energy_cap.sum()} beyond the energy cap"
        )


def labels_of(prediction: Prediction, periodic: Tensor) -> Labels:
    """Return a prediction as labels; stress is masked where there is none: not every teacher has one."""
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


def beyond_caps(
    labels: Labels, batch: Tensor, excess: Tensor, settings: PerturbationSettings
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which structures have a force, and which an energy, beyond its cap or not finite; both shape (B,).

    ``excess`` (B,) is the energy per atom above the parent's in eV.
    """
    squared = labels.forces.square().sum(dim=1)
    strongest = squared.new_zeros(len(excess)).scatter_reduce(0, batch, squared, "amax")
    # Not (x <= cap) rather than x > cap: what is not a number lies beyond every cap.
    force_cap = float("inf") if settings.force_cap is None else settings.force_cap
    energy_cap = float("inf") if settings.energy_cap is None else settings.energy_cap
    strong = ~((strongest <= force_cap**2) & strongest.isfinite())
    high = ~((excess <= energy_cap) & excess.isfinite())
    return strong.numpy(), high.numpy()


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
    )

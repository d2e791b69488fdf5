"""Errors of a potential against labelled frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph, collate
from keel.atoms.neighbours import graph_of
from keel.potentials.base import Potential

MILLI = 1000.0


@dataclass(frozen=True)
class LabelErrors:
    """Mean absolute (MAE) and root mean square (RMSE) errors; NaN where no frame carries the label.

    Energy in meV per atom, over frames; forces in meV/angstrom, over all components of all atoms; stress in
    meV/angstrom^3, over the nine components of the frames that are periodic in three directions.
    """

    frames: int
    atoms: int
    energy_mae_mev_per_atom: float
    energy_rmse_mev_per_atom: float
    force_mae_mev_per_angstrom: float
    force_rmse_mev_per_angstrom: float
    stress_mae_mev_per_cubic_angstrom: float
    stress_rmse_mev_per_cubic_angstrom: float

    def to_dict(self) -> dict[str, float | None]:
        """Return the errors by name, None where no frame carries the label."""
        return {name: None if np.isnan(value) else value for name, value in asdict(self).items()}


def label_errors(potential: Potential, frames: Iterable[Frame], batch_atoms: int = 1000) -> LabelErrors:
    """Compare a potential with the labels of some frames, in the potential's own dtype and on its device.

    Parameters
    ----------
    potential
        Left as it is.
    frames
        Read once, evaluated in batches of about ``batch_atoms`` atoms.

    Raises
    ------
    DataError
        If the potential does not know an element.
    """
    n_frames = n_atoms = 0
    errors: tuple[list[Tensor], ...] = ([], [], [])
    for graph in _batches(frames, potential, batch_atoms):
        n_frames, n_atoms = n_frames + graph.n_structures, n_atoms + graph.n_atoms
        for collected, error in zip(errors, _errors(potential, graph), strict=True):
            collected.append(error.cpu())
    figures = [f for collected in errors for f in _mae_and_rmse(collected)]
    return LabelErrors(n_frames, n_atoms, *figures)


def _errors(potential: Potential, graph: AtomGraph) -> tuple[Tensor, Tensor, Tensor]:
    prediction, labels = potential(graph), graph.labels
    assert labels is not None
    energy = (prediction.energy - labels.energy) / graph.atoms_per_structure
    forces = (prediction.forces - labels.forces)[labels.forces_mask[graph.batch]]
    stress = (prediction.stress - labels.stress)[labels.stress_mask & graph.periodic]
    return energy[labels.energy_mask], forces.double().reshape(-1), stress.double().reshape(-1)


def _mae_and_rmse(errors: list[Tensor]) -> tuple[float, float]:
    joined = torch.cat(errors) if errors else torch.zeros(0)
    if not len(joined):
        return float("nan"), float("nan")
    return MILLI * float(joined.abs().mean()), MILLI * float(joined.square().mean().sqrt())


def _batches(frames: Iterable[Frame], potential: Potential, batch_atoms: int) -> Iterator[AtomGraph]:
    waiting: list[AtomGraph] = []
    for frame in frames:
        waiting.append(graph_of(frame, potential.cutoff, half_list=potential.half_list, dtype=potential.dtype))
        if sum(g.n_atoms for g in waiting) >= batch_atoms:
            yield collate(waiting).to(potential.device)
            waiting = []
    if waiting:
        yield collate(waiting).to(potential.device)

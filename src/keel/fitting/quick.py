"""An EAM that is fitted to the forces of few frames in a second or two, to judge the other labels by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits
from torch import Tensor

from keel.atoms.frame import Array, Frame
from keel.fitting.chunk import Evaluation, Parameters
from keel.fitting.contacts import contacts_in, pairs_without_data
from keel.fitting.data import fit_data
from keel.fitting.descent import ROUGHLY, descend
from keel.fitting.objective import Objective
from keel.fitting.parameters import Parametrisation
from keel.fitting.start import expected, starts
from keel.fitting.walls import wall_lengths
from keel.potentials.classical.eam import EAM

CUTOFF = 6.0
"""Angstrom."""


@dataclass(frozen=True)
class Prediction:
    """Prediction for a frame: energy in eV without offsets, forces in eV/angstrom, stress in eV/angstrom^3."""

    energy: float
    forces: Array
    stress: Array


class QuickEAM:
    """An EAM fitted to forces alone. Its walls are repulsive by construction, so that its signs are physical.

    Parameters
    ----------
    model
        Elements and cutoff.
    values
        Its parameters, fitted to forces of root mean square 1 eV/angstrom: walls and priors have that size.
    scale
        Scale of the given forces, in eV/angstrom.
    """

    def __init__(self, model: EAM, values: dict[str, Tensor], scale: float) -> None:
        self.model = model
        self.values = values
        self.scale = scale

    @classmethod
    def fit(cls, frames: Sequence[Frame]) -> QuickEAM | None:
        """Fit to the forces of all ``frames``; None where no two atoms are within the cutoff."""
        given = [f.forces for f in frames if f.forces is not None]
        scale = float(np.median([np.sqrt(np.mean(forces**2)) for forces in given]))
        forces_only = [f.unlabelled().replace(forces=f.forces / scale) for f in frames if f.forces is not None]
        model = EAM.from_elements(sorted({int(z) for f in frames for z in f.numbers}), CUTOFF)
        with threadpool_limits(1, "blas"):
            data = fit_data(forces_only, model, 1.0, 1.0)
            if not any(len(chunk.pairs.r) for chunk in data.chunks):
                return None
            without_data = pairs_without_data(model, contacts_in(model, forces_only))
            parametrisation = Parametrisation(model, wall_lengths(model, without_data))
            objective = Objective(data, parametrisation, expected(parametrisation))
            _, best = descend(objective, starts(objective)[0], ROUGHLY)
        return cls(model, parametrisation.values(best), scale)

    def predict(self, frames: Sequence[Frame]) -> list[Prediction]:
        """Return the prediction for each frame; it may contain only elements that the EAM was fitted to."""
        data = fit_data([f.unlabelled() for f in frames], self.model, 1.0, 1.0)
        parameters, predictions = Parameters.of(self.model, self.values), []
        for chunk in data.chunks:
            found = Evaluation(chunk, parameters, self.model.delta)
            forces, virial = found.derivatives()
            ends = np.cumsum(np.bincount(chunk.structure, minlength=len(found.energy)))[:-1]
            parts = zip(found.energy, np.split(forces, ends), virial / chunk.volume, strict=True)
            predictions += [Prediction(self.scale * float(e), self.scale * f, self.scale * s) for e, f, s in parts]
        return predictions

"""An EAM that is fitted to the forces of few frames in a second or two, to judge the other labels by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits
from torch import Tensor

from keel.atoms.frame import Array, Frame
from keel.fitting.data import Chunk, fit_data
from keel.fitting.objective import Objective
from keel.fitting.parameters import Parametrisation
from keel.fitting.start import expected, starts
from keel.fitting.walls import pairs_without_data, wall_lengths
from keel.potentials.classical.eam import EAM

CUTOFF = 6.0
"""Angstrom."""
ITERATIONS = 60


@dataclass(frozen=True)
class Prediction:
    """What the EAM says of a frame: energy in eV without offsets, forces in eV/angstrom, stress in eV/angstrom^3."""

    energy: float
    forces: Array
    stress: Array


class QuickEAM:
    """An EAM fitted to forces alone. Its walls are repulsive by construction, so that its signs are those of nature.

    Parameters
    ----------
    model
        Elements and cutoff.
    values
        Its parameters, fitted to forces of root mean square 1 eV/angstrom: walls and priors have that size.
    scale
        Of the forces that were given, in eV/angstrom.
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
            if not any(len(chunk.r) for chunk in data.chunks):
                return None
            parametrisation = Parametrisation(model, wall_lengths(model, pairs_without_data(model, data)))
            objective = Objective(data, parametrisation, expected(parametrisation))
            options = {"maxiter": ITERATIONS, "maxcor": 30, "ftol": 1e-5}
            start = starts(objective)[0].numpy()
            best = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
        return cls(model, {k: v.detach() for k, v in parametrisation.values(torch.as_tensor(best)).items()}, scale)

    def predict(self, frames: Sequence[Frame]) -> list[Prediction]:
        """Return what the EAM says of each frame; only elements that it was fitted to."""
        predictions: list[Prediction] = []
        with torch.no_grad(), threadpool_limits(1, "blas"):
            terms = self.model.terms(self.values)
            for chunk in fit_data([f.unlabelled() for f in frames], self.model, 1.0, 1.0).chunks:
                result = terms.evaluate(chunk.r, chunk.edge_index, chunk.species)
                count = len(chunk.volume)
                energies = result.energies.new_zeros(count).index_add(0, chunk.structure, result.energies)
                forces, stress = _bare(chunk).errors(result.slope)
                sizes = torch.bincount(chunk.structure, minlength=count).tolist()
                parts = zip(energies.tolist(), forces.split(sizes), stress, strict=True)
                predictions += [
                    Prediction(self.scale * e, self.scale * f.numpy(), self.scale * s.numpy()) for e, f, s in parts
                ]
        return predictions


def _bare(chunk: Chunk) -> Chunk:
    """Return the chunk with labels of zero and weights of one: errors are predictions."""
    one = torch.ones((), dtype=torch.float64)
    return replace(
        chunk,
        forces=torch.zeros_like(chunk.forces),
        force_weight=one,
        stress=torch.zeros_like(chunk.stress),
        stress_weight=one,
    )

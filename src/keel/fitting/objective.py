"""The loss of an EAM fit and its gradient, with the per-element offsets projected out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from keel.atoms.frame import Array
from keel.fitting.chunk import ELEMENT_COLUMNS, PAIR_COLUMNS, Evaluation, Parameters
from keel.fitting.data import FitData
from keel.fitting.parameters import Parametrisation
from keel.parallel import in_threads

GAUGE_WEIGHT = 1.0
SHRINKAGE = 1e-5


class Objective:
    """L(theta) = weighted squared errors + (ln <rho>)^2 + 1e-5 |theta - expected|^2.

    Callable as ``scipy.optimize.minimize(..., jac=True)`` wants it. The offsets eps are linear: for each theta they
    take their best value, and the gradient is that at fixed eps (variable projection; Golub and Pereyra, SIAM J.
    Numer. Anal. 10, 413 (1973)). The gauge, in which density and embedding share a scale, is fixed by <rho> = 1.

    Parameters
    ----------
    data, parametrisation
        What is fitted to, and what is varied.
    expected
        theta that the weak prior expects; its corrections of pairs are zero.
    """

    def __init__(self, data: FitData, parametrisation: Parametrisation, expected: Tensor) -> None:
        self.data = data
        self.parametrisation = parametrisation
        self.expected = expected
        self.project = np.linalg.pinv(data.energy_weight[:, None] * data.composition, rcond=1e-8)
        self._work = [np.empty((4, len(chunk.pairs.r))) for chunk in data.chunks]

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """Return the loss and its gradient."""
        x = torch.tensor(theta, requires_grad=True)
        values = self.parametrisation.values(x)
        evaluations = self._evaluate(values)
        residual, mean_density = self._energy_errors(evaluations)
        gauge = float(np.log(mean_density))
        energy_pull = 2.0 * residual * self.data.energy_weight / self.data.atoms
        density_pull = 2.0 * GAUGE_WEIGHT * gauge / (mean_density * float(self.data.atoms.sum()))
        loss, gradient = _gradients(evaluations, energy_pull, density_pull)
        prior = SHRINKAGE * (x - self.expected).square().sum()
        seeds = [torch.from_numpy(gradient[name]) for name in values]
        (whole,) = torch.autograd.grad([prior, *values.values()], x, [torch.ones_like(prior), *seeds])
        return loss + float(residual @ residual) + GAUGE_WEIGHT * gauge**2 + prior.item(), whole.numpy()

    def residuals(self, values: Mapping[str, Tensor]) -> Array:
        """Return all weighted errors in one row; linear in repulsion, attraction and embedding."""
        evaluations = self._evaluate(values)
        rows = [self._energy_errors(evaluations)[0]]
        for evaluation in evaluations:
            rows += [error.ravel() for error in evaluation.chunk.errors(*evaluation.derivatives())]
        return np.concatenate(rows)

    def offsets(self, values: Mapping[str, Tensor]) -> dict[int, float]:
        """Return the best energy offsets, atomic number -> eV."""
        best = -self.project @ (self._energies(self._evaluate(values))[0] * self.data.energy_weight)
        return dict(zip(self.parametrisation.model.elements or (), best.tolist(), strict=True))

    def mean_density(self, values: Mapping[str, Tensor]) -> float:
        """Return the mean electron density at an atom."""
        return self._energies(self._evaluate(values))[1]

    def _evaluate(self, values: Mapping[str, Tensor]) -> list[Evaluation]:
        model, chunks = self.parametrisation.model, self.data.chunks
        parameters = Parameters.of(model, values)
        found: dict[int, Evaluation] = {}

        def evaluate(k: int) -> None:
            found[k] = Evaluation(chunks[k], parameters, model.delta, self._work[k])

        in_threads(evaluate, len(chunks))
        return [found[k] for k in range(len(chunks))]

    def _energy_errors(self, evaluations: list[Evaluation]) -> tuple[Array, float]:
        """Return weighted errors of the energy per atom (F,) with the best offsets, and the mean density."""
        error, density = self._energies(evaluations)
        weighted = error * self.data.energy_weight
        return weighted - self.data.energy_weight * (self.data.composition @ (self.project @ weighted)), density

    def _energies(self, evaluations: list[Evaluation]) -> tuple[Array, float]:
        """Return errors of the energy per atom (F,) without offsets, and the mean density."""
        energies = np.concatenate([e.energy for e in evaluations])
        density = sum(float(e.rho.sum()) for e in evaluations)
        return energies / self.data.atoms - self.data.energy, density / float(self.data.atoms.sum())


def _gradients(
    evaluations: list[Evaluation], on_energy: Array, on_rho: float
) -> tuple[float, dict[str, Array]]:
    """Return the loss in forces and stress, and the whole gradient with respect to each kind of parameter."""
    first = np.cumsum([0, *(len(e.energy) for e in evaluations)])
    found: dict[int, tuple[float, Parameters]] = {}

    def differentiate(k: int) -> None:
        found[k] = evaluations[k].gradient(on_energy[first[k] : first[k + 1]], on_rho)

    in_threads(differentiate, len(evaluations))
    # In the order of the frames, whichever thread was first.
    parts = [found[k] for k in range(len(evaluations))]
    pairs, elements = (sum(part[1][kind] for part in parts) for kind in (0, 1))
    columns = dict(zip(PAIR_COLUMNS, np.asarray(pairs).T, strict=True))
    columns |= dict(zip(ELEMENT_COLUMNS, np.asarray(elements).T, strict=True))
    return sum(part[0] for part in parts), columns

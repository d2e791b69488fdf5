"""The loss of an EAM fit and its gradient, with the per-element offsets projected out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from keel.atoms.frame import Array
from keel.fitting.chunk import COLUMNS, Evaluation, Parameters
from keel.fitting.data import FitData
from keel.fitting.normal import normal_equations
from keel.fitting.parameters import Parametrisation
from keel.parallel import in_threads, plain

GAUGE_WEIGHT = 1.0
SHRINKAGE = 1e-5

P = TypeVar("P")
R = TypeVar("R")


class Equations(NamedTuple):
    """Squared sum of weighted errors e, J^T e and J^T J for their Jacobian J."""

    loss: float
    gradient: Array
    matrix: Array


class Objective:
    """L(theta) = weighted squared errors + (ln <rho>)^2 + 1e-5 |theta - expected|^2.

    Callable as ``scipy.optimize.minimize(..., jac=True)`` requires. The offsets eps are linear: for each theta they
    take their best value, and the gradient is that at fixed eps (variable projection; Golub and Pereyra, SIAM J.
    Numer. Anal. 10, 413 (1973)). The gauge, in which density and embedding share a scale, is fixed by <rho> = 1.

    Parameters
    ----------
    data, parametrisation
        The labels, and the parameters that are varied.
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
        # One scalar to differentiate: with several and their seeds, PyTorch imports a second's worth of modules.
        carried = sum(((torch.from_numpy(gradient[name]) * value).sum() for name, value in values.items()), prior)
        (whole,) = torch.autograd.grad(carried, x)
        return loss + float(residual @ residual) + GAUGE_WEIGHT * gauge**2 + prior.item(), whole.numpy()

    def normal(self, theta: Array) -> Equations:
        """Return the loss with half its gradient and half its Gauss-Newton matrix with respect to theta."""
        x = torch.tensor(theta)
        chain = self.parametrisation.jacobian(x)
        loss, gradient, matrix = self.equations(self.parametrisation.values(x))
        away = theta - self.expected.numpy()
        return Equations(
            loss + SHRINKAGE * float(away @ away),
            chain.T @ gradient + SHRINKAGE * away,
            chain.T @ matrix @ chain + SHRINKAGE * np.eye(len(theta)),
        )

    def equations(self, values: Mapping[str, Tensor]) -> Equations:
        """Return the same without prior, with respect to the values, in the order of ``COLUMNS``."""
        evaluations = self._evaluate(values)
        residual, mean_density = self._energy_errors(evaluations)
        parts = _each(evaluations, normal_equations)
        weight = self.data.energy_weight[:, None]
        rows = np.concatenate([part.energy for part in parts]) * weight / self.data.atoms[:, None]
        rows -= weight * (self.data.composition @ (self.project @ rows))
        density = np.sum([part.density for part in parts], axis=0) / (mean_density * self.data.atoms.sum())
        gauge = float(np.log(mean_density))
        return Equations(
            sum(part.loss for part in parts) + float(residual @ residual) + GAUGE_WEIGHT * gauge**2,
            np.sum([part.gradient for part in parts], axis=0) + rows.T @ residual + GAUGE_WEIGHT * gauge * density,
            np.sum([part.matrix for part in parts], axis=0) + rows.T @ rows + GAUGE_WEIGHT * np.outer(density, density),
        )

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
        angular = plain(values["angular"]) if "angular" in values else None
        return _each(
            range(len(chunks)), lambda k: Evaluation(chunks[k], parameters, model.delta, self._work[k], angular)
        )

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


def _gradients(evaluations: list[Evaluation], on_energy: Array, on_rho: float) -> tuple[float, dict[str, Array]]:
    """Return the loss in forces and stress, and the whole gradient with respect to each kind of parameter."""
    shares = np.split(on_energy, np.cumsum([len(e.energy) for e in evaluations])[:-1])
    parts = _each(list(zip(evaluations, shares, strict=True)), lambda part: part[0].gradient(part[1], on_rho))
    pairs, elements = (np.sum([gradient[kind] for _, gradient, _ in parts], axis=0) for kind in (0, 1))
    angular = np.sum([of_angles for *_, of_angles in parts], axis=0)
    return sum(loss for loss, *_ in parts), dict(zip(COLUMNS, [*pairs.T, *elements.T, angular], strict=True))


def _each(parts: Sequence[P], work: Callable[[P], R]) -> list[R]:
    """Return the results of the parts in order, whichever thread was first: sums are always the same."""
    found: dict[int, R] = {}

    def do(k: int) -> None:
        found[k] = work(parts[k])

    in_threads(do, len(parts))
    return [found[k] for k in range(len(parts))]

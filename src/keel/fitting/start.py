"""Where an EAM fit starts: for given exponents the problem is linear, so a grid of exponents is solved exactly."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from keel.atoms.frame import Array
from keel.fitting.chunk import COLUMNS
from keel.fitting.objective import Objective
from keel.fitting.parameters import Parametrisation

ALPHAS = (0.9, 1.2, 1.6, 2.2)
BETAS = (1.4, 2.0, 2.8, 4.0, 5.6)
MOST_PAIRS = 15
"""With more pairs of elements than this, there is no grid: the fit starts from its expected values."""
LINEAR = ("slack", "attraction", "embedding", "angular")


def expected(parametrisation: Parametrisation) -> Tensor:
    """Return the values that a fit expects before it has data; the same for all elements."""
    pair, element = _ones(parametrisation)
    values = {"alpha": 1.5 * pair, "attraction": 0.5 * pair, "slack": 0.5 * pair}
    values["angular"] = torch.full((parametrisation.n_angles,), 0.1, dtype=torch.float64)
    return parametrisation.theta(values | {"beta": 2.0 * element, "density": 0.1 * element, "embedding": element})


def starts(objective: Objective) -> list[Tensor]:
    """Return theta for a grid of exponents common to all elements, best first, without repetitions."""
    if objective.parametrisation.n_pairs > MOST_PAIRS:
        return [expected(objective.parametrisation)]
    grid = [(alpha, beta) for alpha, beta in product(ALPHAS, BETAS) if 4.0 * alpha > 1.2 * beta]
    results = sorted((_solve(objective, alpha, beta) for alpha, beta in grid), key=lambda result: result[0])
    distinct = [k for k in range(len(results)) if k == 0 or results[k][0] > 1.002 * results[k - 1][0]]
    return [results[k][1] for k in distinct]


def _solve(objective: Objective, alpha: float, beta: float) -> tuple[float, Tensor]:
    """Return loss and theta of the best slack, attraction and embedding, none negative, for fixed exponents.

    Source: Lawson and Hanson, Solving Least Squares Problems (1974), chapter 23.
    """
    par = objective.parametrisation
    pair, element = _ones(par)
    values = {"alpha": alpha * pair, "beta": beta * element, "density": element}
    values |= {"slack": 0.0 * pair, "attraction": 0.0 * pair, "embedding": 0.0 * element}
    values["angular"] = torch.zeros(par.n_angles, dtype=torch.float64)
    values["density"] = element / objective.mean_density(par.with_wall(values))
    loss, gradient, matrix = objective.equations(par.with_wall(values))
    nothing = _in_a_row(par, values)
    units = [(name, row) for name in LINEAR for row in torch.eye(len(values[name]), dtype=torch.float64)]
    chain = np.stack([_in_a_row(par, values | {k: values[k] + unit}) - nothing for k, unit in units], axis=1)
    solution, saved = _not_negative(chain.T @ matrix @ chain, chain.T @ gradient)
    for (name, unit), amount in zip(units, solution, strict=True):
        values = values | {name: values[name] + float(amount) * unit}
    return loss - saved, par.theta(values)


def _not_negative(matrix: Array, gradient: Array) -> tuple[Array, float]:
    """Minimise x^T matrix x + 2 gradient x for x >= 0; return x and by how much the value is below zero."""
    weights, directions = np.linalg.eigh(matrix)
    known = weights > 1e-12 * weights[-1]
    root = np.sqrt(weights[known])
    target = -(directions[:, known].T @ gradient) / root
    solution, rest = nnls(root[:, None] * directions[:, known].T, target)
    return solution, float(target @ target - rest**2)


def _in_a_row(parametrisation: Parametrisation, values: dict[str, Tensor]) -> Array:
    values = parametrisation.with_wall(values)
    return np.concatenate([values[name].numpy() for name in COLUMNS])


def _ones(parametrisation: Parametrisation) -> tuple[Tensor, Tensor]:
    pair = torch.ones(parametrisation.n_pairs, dtype=torch.float64)
    return pair, torch.ones(parametrisation.n_elements, dtype=torch.float64)

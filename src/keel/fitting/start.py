"""Where an EAM fit starts: for given exponents the problem is linear, so a grid of exponents is solved exactly."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from keel.fitting.objective import Objective
from keel.fitting.parameters import Parametrisation

ALPHAS = (0.9, 1.2, 1.6, 2.2)
BETAS = (1.4, 2.0, 2.8, 4.0, 5.6)
MOST_PAIRS = 15
"""With more pairs of elements than this, there is no grid: the fit starts from what it expects."""

Direction = tuple[str, Tensor]


def expected(parametrisation: Parametrisation) -> Tensor:
    """Return what a fit expects before it has seen data; the same for all elements."""
    pair, element = _ones(parametrisation)
    values = {"alpha": 1.5 * pair, "attraction": 0.5 * pair, "slack": 0.5 * pair}
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
    values["density"] = element / objective.mean_density(par.with_wall(values))
    nothing = objective.residuals(par.with_wall(values))
    names = ("slack", "attraction", "embedding")
    directions = [(name, row) for name in names for row in torch.eye(len(values[name]), dtype=torch.float64)]
    columns = [objective.residuals(par.with_wall(_add(values, d, 1.0))) - nothing for d in directions]
    solution, norm = nnls(np.stack(columns, axis=1), -nothing)
    for direction, amount in zip(directions, solution, strict=True):
        values = _add(values, direction, float(amount))
    return float(norm**2), par.theta(values)


def _add(values: dict[str, Tensor], direction: Direction, amount: float) -> dict[str, Tensor]:
    name, vector = direction
    return values | {name: values[name] + amount * vector}


def _ones(parametrisation: Parametrisation) -> tuple[Tensor, Tensor]:
    pair = torch.ones(parametrisation.n_pairs, dtype=torch.float64)
    return pair, torch.ones(parametrisation.n_elements, dtype=torch.float64)

"""From a start to a minimum: Gauss-Newton steps for few elements, L-BFGS for many."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from keel.fitting.objective import Objective

MOST_PAIRS = 36
"""With more pairs of elements, a matrix of all parameters costs more than it saves."""
DAMPING, MOST_DAMPING = 1e-2, 1e8


def descend(objective: Objective, theta: Tensor, tolerance: float, iterations: int) -> tuple[float, Tensor]:
    """Return loss and theta where an iteration lowers the loss by less than a share of ``tolerance``."""
    if objective.parametrisation.n_pairs <= MOST_PAIRS:
        return _levenberg_marquardt(objective, theta, tolerance, iterations)
    options = {"maxiter": iterations, "maxcor": 30, "ftol": tolerance}
    result = minimize(objective, theta.numpy(), jac=True, method="L-BFGS-B", options=options)
    return float(result.fun), torch.as_tensor(result.x)


def _levenberg_marquardt(
    objective: Objective, theta: Tensor, tolerance: float, iterations: int
) -> tuple[float, Tensor]:
    """Damped Gauss-Newton steps; the damping follows how well the last step was foreseen.

    Source: Nielsen, Damping Parameter in Marquardt's Method, IMM-REP-1999-05 (1999), eq. 2.5.
    """
    x, damping, rise = theta.numpy(), DAMPING, 2.0
    here = objective.normal(x)
    for _ in range(iterations):
        step = np.linalg.solve(here.matrix + damping * np.eye(len(x)), -here.gradient)
        foreseen = float(step @ (damping * step - here.gradient))
        there = objective.normal(x + step)
        gain = here.loss - there.loss
        if gain > 0:
            damping, rise = damping * max(1 / 3, 1 - (2 * gain / foreseen - 1) ** 3), 2.0
            x, here = x + step, there
            if gain < tolerance * here.loss:
                break
        else:
            damping, rise = damping * rise, 2.0 * rise
            if damping > MOST_DAMPING:
                break
    return here.loss, torch.as_tensor(x)

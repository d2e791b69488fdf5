"""From a start to a minimum: Gauss-Newton steps for few elements, L-BFGS for many."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from keel.atoms.frame import Array
from keel.fitting.objective import Equations, Objective

MOST_PAIRS = 36
"""With more pairs of elements, a matrix of all parameters costs more than it saves."""
DAMPING, MOST_DAMPING = 1e-2, 1e8
LONGEST = 3.0
"""Largest step; parameters are logarithms, and no derivative predicts a change by a factor of twenty."""


class Limits(NamedTuple):
    """When to stop: if a Gauss-Newton or an L-BFGS step lowers the loss by less than a share, or after some steps."""

    gauss_newton: float
    lbfgs: float
    steps: int


ROUGHLY, THOROUGHLY = Limits(1e-3, 1e-5, 60), Limits(1e-4, 1e-7, 200)


def descend(objective: Objective, theta: Tensor, limits: Limits) -> tuple[float, Tensor]:
    """Return loss and theta at the minimum below a start."""
    if objective.parametrisation.n_pairs <= MOST_PAIRS:
        return _levenberg_marquardt(objective, theta, limits)
    options = {"maxiter": limits.steps, "maxcor": 30, "ftol": limits.lbfgs}
    result = minimize(objective, theta.numpy(), jac=True, method="L-BFGS-B", options=options)
    return float(result.fun), torch.as_tensor(result.x)


def _levenberg_marquardt(objective: Objective, theta: Tensor, limits: Limits) -> tuple[float, Tensor]:
    """Damped Gauss-Newton steps; the damping follows how well the last step was predicted.

    Source: Nielsen, Damping Parameter in Marquardt's Method, IMM-REP-1999-05 (1999), eq. 2.5.
    """
    x, damping, rise = theta.numpy(), DAMPING, 2.0
    here = objective.normal(x)
    for _ in range(limits.steps):
        step = _step(here, damping)
        while np.abs(step).max() > LONGEST:
            damping *= 2.0
            step = _step(here, damping)
        predicted = float(step @ (damping * step - here.gradient))
        there = objective.normal(x + step)
        gain = here.loss - there.loss
        if gain > 0.0:
            damping, rise = damping * max(1 / 3, 1 - (2 * gain / predicted - 1) ** 3), 2.0
            done = gain < limits.gauss_newton * here.loss
            x, here = x + step, there
        else:
            damping, rise = damping * rise, 2.0 * rise
            done = damping > MOST_DAMPING
        if done:
            break
    return here.loss, torch.from_numpy(x)


def _step(here: Equations, damping: float) -> Array:
    damped = here.matrix + damping * np.eye(len(here.gradient))
    try:
        return np.asarray(np.linalg.solve(damped, -here.gradient))
    except np.linalg.LinAlgError:
        # Where atoms nearly meet, derivatives are so large that the rest is lost in their rounding, and is left alone.
        return np.asarray(np.linalg.lstsq(damped, -here.gradient)[0])

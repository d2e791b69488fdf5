"""What an EAM fit varies, and how a repulsive wall is imposed on every pair of elements.

A parameter of a pair of elements is the arithmetic mean of its elements' values times exp(correction). Corrections
are shrunk to zero, so that one code fits one element or eighty-five.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from keel.atoms.frame import Array
from keel.fitting.chunk import COLUMNS
from keel.parallel import plain
from keel.potentials.classical.eam import EAM
from keel.potentials.classical.three_body import ThreeBody

WALL_SLOPE = 2.0
"""The least slope of a dimer's energy at the end of its wall, in eV/angstrom."""
LEAST_ALPHA = 1.1
"""alpha is at least this times beta/4; at 1 the embedding energy would outgrow the repulsion."""
MOST_BETA = 6.0
"""Upper limit of beta in 1/angstrom."""
MOST_ALPHA = 3.0
"""Upper limit of alpha in 1/angstrom: about that of N2, the stiffest bond. Fits to data near equilibrium sometimes want
more, and the resulting wall would be hundreds of times harder than that of nuclei."""


class Parametrisation:
    """Unconstrained vector theta -> parameter values of an EAM whose every wall is repulsive.

    Two atoms have E = repulsion x^2 - attraction x - sum_{a, b} embedding_a [sqrt(rho_b + delta) - sqrt(delta)]. With
    4 alpha > beta the repulsion grows fastest as r falls, so that dE/dr < 0 at r_w implies dE/dr < 0 below. Hence

        repulsion = slack + [alpha attraction x + sum embedding d sqrt(rho + delta)/dr + slope]_{r_w} / (2 alpha x^2)

    with slack >= 0, which is linear in slack, attraction and embedding.

    Parameters
    ----------
    model
        Gives elements, radii, cutoff and delta.
    walls
        r_w in angstrom of each pair, in the order of ``model.pair_names``.
    angular
        A three-body term whose shares are varied too; it does not affect walls.
    """

    def __init__(self, model: EAM, walls: Tensor, angular: ThreeBody | None = None) -> None:
        self.model = model
        self.walls = walls
        self.n_elements, self.n_pairs = len(model.symbols), len(model.pair_names)
        self.first, self.second = torch.triu_indices(self.n_elements, self.n_elements)
        element = ("beta", "density", "embedding", "alpha", "attraction", "slack")
        self.sizes = {f"element_{k}": self.n_elements for k in element}
        self.sizes |= {f"pair_{k}": self.n_pairs for k in ("alpha", "attraction", "slack")}
        self.n_angles = 0 if angular is None else angular.coefficients.numel()
        self.sizes["angular"] = self.n_angles

    def split(self, theta: Tensor) -> dict[str, Tensor]:
        """Return the named parts of theta."""
        return dict(zip(self.sizes, theta.split(list(self.sizes.values()), dim=-1), strict=True))

    def values(self, theta: Tensor) -> dict[str, Tensor]:
        """Return the parameter values as :meth:`EAM.values` does; of each row, where theta has rows."""
        part = self.split(theta)
        values = {k: torch.exp(part[f"element_{k}"]) for k in ("density", "embedding")}
        values["beta"] = MOST_BETA * torch.sigmoid(part["element_beta"])
        for name in ("alpha", "attraction", "slack"):
            values[name] = self.mix(torch.exp(part[f"element_{name}"])) * torch.exp(part[f"pair_{name}"])
        values["angular"] = torch.exp(part["angular"])
        least, ratio = self.least_alpha(values["beta"]), values["alpha"]
        values["alpha"] = least + (MOST_ALPHA - least) * ratio / (1.0 + ratio)
        return self.with_wall(values)

    def jacobian(self, theta: Tensor) -> Array:
        """Return the derivatives of all values, in the order of ``COLUMNS``, with respect to theta."""
        size = 3 * (self.n_elements + self.n_pairs) + self.n_angles
        # A row of theta for each value, so that one backward pass, from the diagonal, gives all.
        rows = theta.expand(size, -1).clone().requires_grad_()
        values = self.values(rows)
        (found,) = torch.autograd.grad(torch.cat([values[k] for k in COLUMNS], dim=-1).diagonal().sum(), rows)
        return plain(found)

    def theta(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return theta from values with ``slack``; values near zero start at a fiftieth, so that they can grow."""
        least = self.least_alpha(values["beta"])
        share = ((values["alpha"] - least) / (MOST_ALPHA - least)).clamp(0.02, 0.98)
        beta = (values["beta"] / MOST_BETA).clamp(0.02, 0.98)
        pairs = {"alpha": share / (1.0 - share), "attraction": values["attraction"], "slack": values["slack"]}
        like = self.model.pair_index.reshape(self.n_elements, -1).diagonal()
        parts = {f"element_{k}": _log(values[k]) for k in ("density", "embedding")}
        parts["element_beta"] = torch.logit(beta)
        for name, value in pairs.items():
            logs = _log(value)
            parts[f"element_{name}"] = logs[like]
            parts[f"pair_{name}"] = logs - torch.log(self.mix(torch.exp(logs[like])))
        # Many pairs of neighbours add up, so a hundredth of the scale of one pair matters.
        parts["angular"] = _log(values["angular"], 0.01)
        return torch.cat([parts[name] for name in self.sizes])

    def with_wall(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return values with ``repulsion`` in place of ``slack``."""
        rest = {name: value for name, value in values.items() if name != "slack"}
        return rest | {"repulsion": values["slack"] + self.least_repulsion(values)}

    def mix(self, per_element: Tensor) -> Tensor:
        """Arithmetic mean over the two elements of each pair."""
        return 0.5 * (per_element[..., self.first] + per_element[..., self.second])

    def least_alpha(self, beta: Tensor) -> Tensor:
        """Smallest alpha of each pair whose repulsion outgrows the embedding energy at short range."""
        return 0.25 * LEAST_ALPHA * torch.maximum(beta[..., self.first], beta[..., self.second])

    def least_repulsion(self, values: Mapping[str, Tensor]) -> Tensor:
        """Smallest repulsion of each pair that keeps its wall."""
        model, alpha = self.model, values["alpha"]
        x = torch.exp(alpha * (model.pair_radius - self.walls))
        pull = alpha * values["attraction"] * x + WALL_SLOPE
        for a, b in ((self.first, self.second), (self.second, self.first)):
            density, beta, embedding = values["density"][..., b], values["beta"][..., b], values["embedding"][..., a]
            rho = density * torch.exp(beta * (model.element_radius[b] - self.walls))
            pull = pull + embedding * beta * rho / (2.0 * torch.sqrt(rho + model.delta))
        return pull / (2.0 * alpha * x * x)


def _log(values: Tensor, size: float = 1.0) -> Tensor:
    """Return logarithms; ``size`` in eV is the least scale of the values; below a fiftieth of it they count as zero."""
    most = max([size, *values.tolist()])
    return torch.log(torch.clamp(values, min=0.02 * most))

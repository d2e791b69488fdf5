"""The loss of an EAM fit and its gradient, with the per-element offsets projected out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from keel.atoms.frame import Array
from keel.fitting.data import Chunk, FitData
from keel.fitting.parameters import Parametrisation

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
        self.project = torch.linalg.pinv(data.energy_weight[:, None] * data.composition, rtol=1e-8)

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """Return the loss and its gradient."""
        x = torch.tensor(theta, requires_grad=True)
        values = self.parametrisation.values(x)
        leaves = {k: v.detach().requires_grad_() for k, v in values.items()}
        residual, mean_density = self._energy_errors(leaves)
        gauge = torch.log(mean_density)
        loss = float(residual.square().sum() + GAUGE_WEIGHT * gauge**2)
        energy_pull = 2.0 * residual * self.data.energy_weight / self.data.atoms
        density_pull = 2.0 * GAUGE_WEIGHT * gauge / (mean_density * self.data.atoms.sum())
        first = 0
        for chunk in self.data.chunks:
            frames = slice(first, first := first + len(chunk.volume))
            loss += self._chunk(chunk, leaves, energy_pull[frames], density_pull)
        prior = SHRINKAGE * (x - self.expected).square().sum()
        seeds = [torch.ones_like(prior), *(leaf.grad for leaf in leaves.values())]
        (gradient,) = torch.autograd.grad([prior, *values.values()], x, seeds)
        return loss + prior.item(), gradient.numpy()

    def residuals(self, values: Mapping[str, Tensor]) -> Array:
        """Return all weighted errors in one row; linear in repulsion, attraction and embedding."""
        rows = [self._energy_errors(values)[0]]
        with torch.no_grad():
            terms = self.parametrisation.model.terms(values)
            for chunk in self.data.chunks:
                slope = terms.evaluate(chunk.r, chunk.edge_index, chunk.species).slope
                rows.extend(error.reshape(-1) for error in chunk.errors(slope))
        return torch.cat(rows).numpy()

    def offsets(self, values: Mapping[str, Tensor]) -> dict[int, float]:
        """Return the best energy offsets, atomic number -> eV."""
        best = -self.project @ (self._energies(values)[0] * self.data.energy_weight)
        return dict(zip(self.parametrisation.model.elements or (), best.tolist(), strict=True))

    def mean_density(self, values: Mapping[str, Tensor]) -> float:
        """Return the mean electron density at an atom."""
        return float(self._energies(values)[1])

    def _energy_errors(self, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return weighted errors of the energy per atom (F,) with the best offsets, and the mean density."""
        error, density = self._energies(values)
        weighted = error * self.data.energy_weight
        return weighted - self.data.energy_weight * (self.data.composition @ (self.project @ weighted)), density

    def _energies(self, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return errors of the energy per atom (F,) without offsets, and the mean density."""
        energies, density = [], torch.zeros((), dtype=torch.float64)
        with torch.no_grad():
            terms = self.parametrisation.model.terms(values)
            for chunk in self.data.chunks:
                result = terms.evaluate(chunk.r, chunk.edge_index, chunk.species)
                zeros = result.energies.new_zeros(len(chunk.volume))
                energies.append(zeros.index_add(0, chunk.structure, result.energies))
                density += result.density.sum()
        return torch.cat(energies) / self.data.atoms - self.data.energy, density / self.data.atoms.sum()

    def _chunk(self, chunk: Chunk, leaves: Mapping[str, Tensor], energy_pull: Tensor, density_pull: Tensor) -> float:
        """Return a chunk's loss in forces and stress; add the gradient of its whole share to the leaves."""
        result = self.parametrisation.model.terms(leaves).evaluate(chunk.r, chunk.edge_index, chunk.species)
        forces, stress = chunk.errors(result.slope)
        loss = forces.square().sum() + stress.square().sum()
        carried = (energy_pull[chunk.structure] * result.energies).sum() + density_pull * result.density.sum()
        (loss + carried).backward()
        return loss.item()

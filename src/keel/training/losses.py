"""The loss of a prediction against labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from keel.atoms.graph import AtomGraph
from keel.errors import DataError
from keel.potentials.base import Prediction
from keel.potentials.networks.network import Network
from keel.training.settings import LossSettings


@dataclass(frozen=True, eq=False)
class Loss:
    """A loss and its parts before weighting, all dimensionless scalars; a part without labels is 0."""

    total: Tensor
    energy: Tensor
    forces: Tensor
    stress: Tensor


def loss(prediction: Prediction, graph: AtomGraph, scale: float | Tensor, settings: LossSettings) -> Loss:
    """Return the loss of a batch.

        L = w_E < l((E - E*) / (n s)) > + w_F sum_ic w_i l((F_ic - F*_ic) / s) / (3 sum_i w_i) + w_S < l((S - S*) / s) >

    with n the number of atoms of the structure, s the force scale (in eV, eV/angstrom and eV/angstrom^3 by turns),
    l the penalty |x|, x^2 or Huber's, w_i = 1/max(1, |F*_i| / falloff), and means over the structures, atoms and
    components that carry the label.

    Raises
    ------
    DataError
        If the batch carries no labels.
    """
    labels = graph.labels
    if labels is None:
        raise DataError("the batch carries no labels; there is nothing to learn from it")
    zero = prediction.energy.new_zeros(())
    energy, forces, stress = zero, zero, zero
    if settings.energy:
        mask = labels.energy_mask
        residual = (prediction.energy - labels.energy) / graph.atoms_per_structure / scale
        energy = _mean(penalty(residual[mask], settings))
    if settings.forces and prediction.forces is not None:
        mask = labels.forces_mask
        target = labels.forces[mask]
        weight = torch.ones_like(target[:, :1])
        if settings.force_falloff is not None:
            size = torch.linalg.vector_norm(target, dim=1, keepdim=True)
            weight = 1.0 / torch.clamp(size / settings.force_falloff, min=1.0)
        residual = (prediction.forces[mask] - target) / scale
        forces = (weight * penalty(residual, settings)).sum() / (3.0 * weight.sum()).clamp(min=1e-12)
    if settings.stress and prediction.stress is not None:
        mask = labels.stress_mask & graph.periodic
        stress = _mean(penalty((prediction.stress[mask] - labels.stress[mask]) / scale, settings))
    total = settings.energy * energy + settings.forces * forces.double() + settings.stress * stress.double()
    return Loss(total=total, energy=energy, forces=forces, stress=stress)


def penalty(residual: Tensor, settings: LossSettings) -> Tensor:
    """|x|, x^2, or Huber's: x^2 / (2 d) below d, |x| - d/2 above, of each residual."""
    if settings.kind == "l1":
        return residual.abs()
    if settings.kind == "l2":
        return residual.square()
    delta = settings.huber_delta
    return functional.huber_loss(residual, torch.zeros_like(residual), delta=delta, reduction="none") / delta


class Objective(nn.Module):
    """The loss of a network as a module, which Fabric can wrap.

    Parameters
    ----------
    network
        The network in training.
    settings
        Of the loss.
    """

    def __init__(self, network: Network, settings: LossSettings) -> None:
        super().__init__()
        self.network = network
        self.settings = settings

    def forward(self, graph: Callable[[], AtomGraph]) -> dict[str, Tensor]:
        """Return the loss and its parts by name.

        The graph comes in a closure: Fabric would turn every tensor that it finds in an argument, energies of
        thousands of eV too, into the precision of the network.
        """
        batch = graph()
        parts = loss(self.network(batch, differentiable=True), batch, self.network.scale, self.settings)
        return {"total": parts.total, "energy": parts.energy, "forces": parts.forces, "stress": parts.stress}


def _mean(values: Tensor) -> Tensor:
    return values.sum() / max(values.numel(), 1)

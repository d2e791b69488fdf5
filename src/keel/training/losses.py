"""The loss of a prediction against labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from keel.atoms.graph import AtomGraph, Labels, squared_lengths
from keel.errors import DataError
from keel.potentials.base import Prediction
from keel.potentials.networks.clamped import Learner
from keel.training.settings import LossSettings


@dataclass(frozen=True, eq=False)
class Loss:
    """A loss and its parts before weighting, all dimensionless scalars; a part without labels is 0."""

    total: Tensor
    energy: Tensor
    forces: Tensor
    stress: Tensor


def label_weights(graph: AtomGraph, settings: LossSettings) -> Tensor:
    """Return the weights of all labels of a batch together: energies, forces and stresses, float64, shape (3,).

        sum over structures of 1,    3 sum_i w_i,    9 sum over structures of 1

    over all that carry the label: the divisors of the means in the loss.

    Raises
    ------
    DataError
        If the batch carries no labels.
    """
    labels = _labels(graph)
    return torch.stack([
        labels.energy_mask.sum().double(),
        3.0 * _atom_weights(labels, settings).sum().double(),
        9.0 * (labels.stress_mask & graph.periodic).sum().double(),
    ])  # fmt: skip


def loss(
    prediction: Prediction,
    graph: AtomGraph,
    scale: float | Tensor,
    settings: LossSettings,
    over: Tensor | None = None,
    stress_scale: float | None = None,
) -> Loss:
    """Return the loss of a batch.

        L = w_E < l((E - E*) / (n s)) > + w_F sum_ic w_i l((F_ic - F*_ic) / s) / (3 sum_i w_i) + w_S < l((S - S*) / t) >

    with n the number of atoms of the structure, s the force scale (in eV/angstrom, and in eV for energies), t the scale
    of stress in eV/angstrom^3 (None: the number of s), l the penalty |x|, x^2 or Huber's,
    w_i = 1/max(1, |F*_i| / falloff), and means over the structures, atoms and components that carry the label.

    ``over`` replaces the :func:`label_weights` of this batch as divisors of the means, if it is a part of a larger one.

    Raises
    ------
    DataError
        If the batch carries no labels.
    """
    labels = _labels(graph)
    over = (label_weights(graph, settings) if over is None else over).clamp(min=1e-12)
    zero = prediction.energy.new_zeros(())
    energy, forces, stress = zero, zero, zero
    # Entries without a label are masked, not left out: their number, for which one would have to wait for a GPU, is not
    # needed.
    if settings.energy:
        residual = (prediction.energy - labels.energy) / graph.atoms_per_structure / scale
        energy = penalty(residual.where(labels.energy_mask, 0.0), settings).sum() / over[0]
    if settings.forces and prediction.forces is not None:
        mask, weight = labels.forces_mask[:, None], _atom_weights(labels, settings)[:, None]
        residual = ((prediction.forces - labels.forces) / scale).where(mask, 0.0)
        forces = (weight * penalty(residual, settings)).sum().double() / over[1]
    if settings.stress and prediction.stress is not None:
        mask = (labels.stress_mask & graph.periodic)[:, None, None]
        unit = scale if stress_scale is None else stress_scale
        residual = ((prediction.stress - labels.stress) / unit).where(mask, 0.0)
        stress = penalty(residual, settings).sum().double() / over[2]
    total = settings.energy * energy + settings.forces * forces + settings.stress * stress
    return Loss(total=total, energy=energy, forces=forces, stress=stress)


def _labels(graph: AtomGraph) -> Labels:
    if graph.labels is None:
        raise DataError("the batch carries no labels; there is nothing to learn from it")
    return graph.labels


def _atom_weights(labels: Labels, settings: LossSettings) -> Tensor:
    """Return the weights of the atoms' forces, 0 where there is no label, shape (N,)."""
    weight = labels.forces_mask.to(labels.forces.dtype)
    if settings.force_falloff is None:
        return weight
    size = squared_lengths(labels.forces).sqrt()
    return weight / torch.clamp(size / settings.force_falloff, min=1.0)


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
    stress_scale
        Scale of the stress in :func:`loss`, in eV/angstrom^3; None: the number of the network's force scale.
    """

    def __init__(self, network: Learner, settings: LossSettings, stress_scale: float | None = None) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.stress_scale = stress_scale

    def forward(self, batch: Callable[[], tuple[AtomGraph, Tensor | None]]) -> dict[str, Tensor]:
        """Return the loss and its parts by name, from a graph and the divisors of the means.

        Both come in a closure: Fabric would turn every tensor that it finds in an argument, energies of thousands of
        eV too, into the precision of the network.
        """
        graph, over = batch()
        parts = self.of(self.network(graph, differentiable=True), graph, over)
        return {"total": parts.total, "energy": parts.energy, "forces": parts.forces, "stress": parts.stress}

    def of(self, prediction: Prediction, graph: AtomGraph, over: Tensor | None = None) -> Loss:
        """Return the loss of a prediction of the network, see :func:`loss`."""
        return loss(prediction, graph, self.network.scale, self.settings, over, self.stress_scale)

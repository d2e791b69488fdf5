"""Delta learning: the network learns what a base potential leaves of the labels, and is used on top of it."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from keel.atoms.frame import Frame
from keel.errors import ConfigError
from keel.potentials.base import Potential
from keel.potentials.batches import batches
from keel.potentials.classical.zbl import ZBL
from keel.potentials.networks.network import Network
from keel.potentials.sum import SumPotential
from keel.training.strategies import Strategy


def base_of(strategy: Strategy, network: Network, teacher: Potential | None) -> Potential | None:
    """Return the potential that the network of a strategy corrects, where the network is; None if it stands alone.

    The nuclear core of a network is that of its teacher, if that has one: with two of them the network would have to
    learn the difference, which is largest where atoms are closest.
    """
    if strategy.base is None:
        return None
    if strategy.base == "zbl":
        return (core_in(teacher) or ZBL(elements=network.elements)).to(network.device)
    assert teacher is not None
    return copy.deepcopy(teacher).to(network.device)


def taken_apart(potential: Potential) -> tuple[Network, Potential | None]:
    """Return the network in a potential that is to be trained, and the base that it stands on, if it does.

    Raises
    ------
    ConfigError
        If it is anything but a network, or the sum of one with a base, as a training returns it.
    """
    if isinstance(potential, Network):
        return potential, None
    members: list[Potential] = []
    if isinstance(potential, SumPotential) and set(potential.weights) == {1.0}:
        members = [m for m in potential.members if isinstance(m, Potential)]
    networks = [m for m in members if isinstance(m, Network)]
    if len(networks) != 1:
        raise ConfigError(f"a {type(potential).__name__} cannot be trained; start from a network, alone or on a core")
    (network,) = networks
    network.energy_offsets += potential.energy_offsets.to(network.device)
    bases = [m for m in members if m is not network]
    return network, SumPotential(bases) if len(bases) > 1 else bases[0]


def core_in(teacher: Potential | None) -> ZBL | None:
    """Return a copy of the nuclear core that a teacher contains."""
    if not isinstance(teacher, SumPotential):
        return None
    return next((copy.deepcopy(member) for member in teacher.members if isinstance(member, ZBL)), None)


def remainder(frames: Sequence[Frame], base: Potential | None) -> list[Frame]:
    """Return the frames with labels from which those of the base are taken off, in float64."""
    if base is None:
        return list(frames)
    model = copy.deepcopy(base).double()
    predictions = [model(graph) for frame in frames for graph in batches([frame], model)]
    return [
        frame.replace(
            energy=None if frame.energy is None else frame.energy - float(found.energy),
            forces=None if frame.forces is None else frame.forces - found.forces.cpu().numpy(),
            stress=None if frame.stress is None else frame.stress - found.stress[0].cpu().numpy(),
        )
        for frame, found in zip(frames, predictions, strict=True)
    ]


def on_top_of(base: Potential | None, network: Network) -> Network | SumPotential:
    """Return the trained potential: the network, or the sum of base and network."""
    return network if base is None else SumPotential([network, base.to(network.device)])


def taught_remainder(teacher: Potential | None, base: Potential | None) -> Potential | None:
    """Return what labels perturbed structures: the teacher, less the base."""
    return teacher if teacher is None or base is None else SumPotential([teacher, base], weights=[1.0, -1.0])

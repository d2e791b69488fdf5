"""Delta learning: the network learns the remainder of the labels beyond a base potential, and is used on top of it."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from keel.atoms.elements import pair_name
from keel.atoms.frame import Frame
from keel.atoms.store.frames import StoredFrames
from keel.errors import ConfigError
from keel.potentials.base import Potential
from keel.potentials.batches import batches
from keel.potentials.classical.contact_repulsion import ContactRepulsion
from keel.potentials.classical.zbl import ZBL
from keel.potentials.networks.clamped import ClampedNetwork, Learner, network_in
from keel.potentials.networks.network import Network
from keel.potentials.sum import SumPotential, members_of, together
from keel.training.strategies import Strategy

WALLS = (ContactRepulsion, ZBL)
"""Potentials that act only between atoms closer than in the data."""


def base_of(
    strategy: Strategy, network: Network, teacher: Potential | None, present: Potential | None = None
) -> Potential | None:
    """Return the potential that the network of a strategy corrects, on its device; None if there is none.

    A base that is present from an earlier training stays, but for its walls where the strategy has those of a teacher:
    the contacts of other data may be closer.
    """
    base: Potential | None
    if strategy.base == "walls" and teacher is not None and (walls := walls_of(teacher)):
        kept = [m for m in members_of(present) if not isinstance(m, WALLS)] if present else []
        base = together([*kept, *members_of(walls)])
    elif present is not None or strategy.base is None:
        base = present
    elif strategy.base == "teacher":
        base = copy.deepcopy(teacher)
    else:
        # For a teacher without walls, too, those of nuclei are used.
        base = ZBL(elements=network.elements)
    return base and base.to(network.device)


def walls_of(teacher: Potential) -> Potential | None:
    """Return a copy of the parts of a teacher that act only where atoms are closer than in the data; None without any.

    They change nothing within the data, and a network on top of them cannot forget them.

    Raises
    ------
    ConfigError
        If some are in a sum with other weights than 1, or with offsets of its own within another.
    """
    walls = [copy.deepcopy(member) for member in members_of(teacher) if isinstance(member, WALLS)]
    if len(walls) < sum(isinstance(part, WALLS) for part in teacher.modules()):
        raise ConfigError(
            "the walls of this teacher are in a sum with weights, or in one with offsets within another; add them to "
            "the whole"
        )
    return together(walls) if walls else None


def clamped_at(base: Potential | None, learner: Learner) -> Learner:
    """Return the learner with distances clamped at the contacts in its base; itself where there are none."""
    network = network_in(learner)
    walls = [member for member in members_of(base) if isinstance(member, ContactRepulsion)] if base else []
    # At the cutoff a clamped distance would not make the network vanish.
    contacts = {
        pair_name(*pair): contact
        for wall in walls
        for pair, (contact, _) in wall.pairs.items()
        if 0.0 < contact < network.cutoff and set(pair) <= set(network.elements or ())
    }
    return ClampedNetwork(network, contacts).to(network.device) if contacts else learner


def taken_apart(potential: Potential) -> tuple[Learner, Potential | None]:
    """Return the network in a potential that is to be trained, clamped if it is, and its base, if any.

    The network takes over what is known of the whole: that it is trained, and how, and the energies of elements.

    Raises
    ------
    ConfigError
        If it is neither a network nor the sum of one with a base, as returned by a training.
    """
    members = members_of(potential)
    learners = [m for m in members if isinstance(m, Learner)]
    if len(learners) != 1:
        raise ConfigError(f"a {type(potential).__name__} cannot be trained; start from a network, alone or with a core")
    (learner,) = learners
    network = network_in(learner)
    for whole in (learner, potential):
        if whole is not network:
            network.trained = network.trained or whole.trained
            network.trained_by = network.trained_by or whole.trained_by
            network.energy_offsets += whole.energy_offsets.to(network.device)
            whole.energy_offsets.zero_()
    rest = [m for m in members if m is not learner]
    return learner, together(rest) if rest else None


def remainder(frames: Sequence[Frame], base: Potential | None) -> Sequence[Frame]:
    """Return the frames with the base's predictions subtracted from their labels, in float64.

    For frames of a store they are subtracted whenever one is read.
    """
    if base is None:
        return frames
    model = copy.deepcopy(base).double()

    def less(frame: Frame) -> Frame:
        (found,) = (model(graph) for graph in batches([frame], model))
        return frame.replace(
            energy=None if frame.energy is None else frame.energy - float(found.energy),
            forces=None if frame.forces is None else frame.forces - found.forces.cpu().numpy(),
            stress=None if frame.stress is None else frame.stress - found.stress[0].cpu().numpy(),
        )

    return frames.changed(less) if isinstance(frames, StoredFrames) else [less(frame) for frame in frames]


def on_top_of(base: Potential | None, network: Learner) -> Learner | SumPotential:
    """Return the trained potential: the network, or the sum of base and network."""
    if base is None:
        return network
    base = base.to(network.device)
    # A sum may have offsets of its own, beside those of its members.
    return SumPotential([network, *([base] if bool(base.energy_offsets.any()) else members_of(base))])


def taught_remainder(teacher: Potential | None, base: Potential | None) -> Potential | None:
    """Return the potential that labels perturbed structures: the teacher minus the base.

    Walls that both have are left out, not subtracted: they are so steep that the difference would be rounding.
    """
    if teacher is None or base is None:
        return teacher
    taught, under = members_of(teacher), members_of(base)
    more, less = _without_walls_of(taught, under), _without_walls_of(under, taught)
    if not more:
        return SumPotential([teacher, base], weights=[1.0, -1.0])
    rest = SumPotential(more + less, weights=[1.0] * len(more) + [-1.0] * len(less)) if less else together(more)
    rest.energy_offsets += (teacher.offsets() - base.offsets() - rest.offsets()).to(rest.device)
    return rest


def _without_walls_of(members: Sequence[Potential], others: Sequence[Potential]) -> list[Potential]:
    """Return copies of the members, except walls that are also among the others."""
    walls = [(type(other), other.config()) for other in others if isinstance(other, WALLS)]
    return [
        copy.deepcopy(member)
        for member in members
        if not (isinstance(member, WALLS) and (type(member), member.config()) in walls)
    ]

"""What comes before the first step of a training: checks, the zero of energy, the scale, the sources of batches."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from keel.atoms.elements import check_known
from keel.atoms.frame import Array, Frame
from keel.atoms.neighbours import graph_of, labelled_atoms
from keel.atoms.selecting import any_stay, elements_in, have
from keel.atoms.soundness.repeats import hashes
from keel.errors import ConfigError, DataError, KeelWarning
from keel.fitting.offsets import fit_offsets
from keel.perturbation import PerturbationSettings, PerturbationStream
from keel.potentials.base import Potential
from keel.potentials.batches import known_by, predictions
from keel.potentials.networks.clamped import ClampedNetwork, Learner, network_in
from keel.potentials.networks.network import Network
from keel.showing import number_of
from keel.training.batches import FrameBatches, Sources
from keel.training.settings import LossSettings, TrainingSettings
from keel.training.strategies import Strategy

AT_REST = 1e-3
"""RMS force in eV/angstrom below which frames count as at rest."""
UNSTRESSED = 1e-6
"""RMS stress in eV/angstrom^3 that counts as zero: 0.2 MPa, less than that of relaxed structures."""


def check_strategy(strategy: Strategy, network: Network, teacher: Potential | None) -> None:
    """Raise a ConfigError if a strategy does not suit the network, or lacks a teacher."""
    if strategy.after is not None and not network.trained:
        raise ConfigError(
            f"this strategy continues from a network trained with {strategy.after!r}, and this one is not trained"
        )
    if strategy.base == "teacher" and network.trained:
        raise ConfigError("an already trained network has learnt what the teacher under it gives; start with a new one")
    if strategy.needs_teacher and teacher is None:
        raise ConfigError("this strategy needs a teacher; give teacher=keel.fit_eam(frames).potential")


def check_elements(network: Network, frames: Sequence[Frame]) -> None:
    """Raise a DataError if a frame contains an element that the network does not know."""
    if set(network.elements or ()).issuperset(elements_in(frames)):
        return
    try:
        for frame in frames:
            known_by(network, frame)
    except DataError as error:
        raise DataError(f"{error}; name all elements of the data when building it") from None


def check_teacher(teacher: Potential | None, frames: Sequence[Frame]) -> None:
    """Raise a DataError if a frame contains an element that the teacher does not know."""
    if teacher is None or teacher.elements is None or set(teacher.elements).issuperset(elements_in(frames)):
        return
    frame = next(f for f in frames if not set(teacher.elements).issuperset(f.numbers.tolist()))
    check_known(frame.numbers.tolist(), teacher.elements, f"{frame.source}: the teacher")


def warn_of_memory(frames: Sequence[Frame], validation: Sequence[Frame]) -> None:
    """Warn if most frames that choose the weights are trained on too; for frames of a store runs and commands do."""
    if not len(validation) or any_stay([frames, validation]):
        return
    seen = [set(column) for column in zip(*hashes(frames), strict=True)]
    same = sum(any(h in known for h, known in zip(pair, seen, strict=False)) for pair in hashes(validation))
    if 2 * same > len(validation):
        warnings.warn(
            f"{same} of {number_of(len(validation), 'validation frame')} {'is' if same == 1 else 'are'} also trained "
            "on: errors on them measure memory, and choose weights that remember; give other frames as validation",
            KeelWarning,
            stacklevel=4,
        )


def check_validation(validation: Sequence[Frame], settings: TrainingSettings) -> None:
    """Raise a DataError if no validation frame has a label that counts, a ConfigError if patience lacks validations."""
    if settings.patience is not None and not len(validation):
        raise ConfigError(
            f"patience ({settings.patience}) counts validations, but there are no validation frames; give some, or "
            "remove patience"
        )
    weights = settings.loss
    used = [name for name in ("energy", "forces", "stress") if getattr(weights, name)]
    if len(validation) and not any(have(validation, name).any() for name in used):
        raise DataError(
            f"none of the {len(validation)} validation frames has {' or '.join(used)} for choosing the weights; give "
            "labelled ones, or none"
        )


def known_atoms(network: Network, atoms: Sequence[Frame]) -> list[Frame]:
    """Return the atoms alone that have an energy and whose element the network knows."""
    return [a for a in atoms if a.energy is not None and int(a.numbers[0]) in (network.elements or ())]


def check_contacts(learner: Learner, frames: Sequence[Frame]) -> None:
    """Warn if atoms of the frames are closer than a clamped network can tell."""
    if not isinstance(learner, ClampedNetwork) or not learner.contacts:
        return
    reach = max(learner.contacts.values())
    graphs = (graph_of(frame, reach, half_list=True) for frame in frames)
    below = ((r / learner.contacts[pair], pair, r) for graph in graphs for pair, r in learner.closer(graph))
    if worst := min(below, default=None):
        _, pair, r = worst
        warnings.warn(
            f"in these frames atoms are closer ({pair} {r:.3g} angstrom) than where this network is clamped "
            f"({learner.contacts[pair]:.3g} angstrom), and it cannot learn forces along such pairs; pretrain and "
            "repair clamp it at the contacts of the frames that their teacher is fitted to",
            KeelWarning,
            stacklevel=3,
        )


def prepare(learner: Learner, frames: Sequence[Frame], atoms: Sequence[Frame] = ()) -> None:
    """Fit the network's energy offsets to the labels and set its scale to the RMS force component of the frames.

    Neither is done for a network that is trained already; its zero of energy is moved to that of the labels. Energies
    of ``atoms`` alone enter as described in :func:`fit_offsets`.
    """
    labelled, network = [f for f in frames if f.energy is not None], network_in(learner)
    if network.trained:
        add_offsets(network, misalignment(learner, labelled, fit_offsets(labelled)))
        return
    network.set_offsets(fit_offsets([*labelled, *atoms]))
    rms = _rms([f.forces[labelled_atoms(f)] for f in frames if f.forces is not None])
    if rms is not None:
        # Frames at rest have no forces to set the scale.
        network.scale.fill_(rms if rms > AT_REST else 1.0)


def stress_scale(frames: Sequence[Frame], settings: LossSettings) -> float | None:
    """Return the scale of the stress in the loss, the RMS stress component of the frames in eV/angstrom^3.

    None, for the force scale, if the settings ask for it or no frame is under stress.
    """
    if settings.stress_scale == "force":
        return None
    rms = _rms([f.stress for f in frames if f.stress is not None and f.pbc.all()])
    return rms if rms is not None and rms > UNSTRESSED else None


def _rms(labels: Sequence[Array]) -> float | None:
    """Return the root mean square of all components; None if there is none."""
    values = np.concatenate([np.zeros(0), *(np.ravel(label) for label in labels)])
    return float(np.sqrt(np.mean(values**2))) if values.size else None


def aligned(teacher: Potential, frames: Sequence[Frame], offsets: dict[int, float]) -> Potential:
    """Return a copy of the teacher with its zero of energy moved, element by element, to that of the DFT labels.

    The offsets of the teacher's own energies of the frames are fitted as those of the labels are; their difference
    is added. There is then no step between what the network learns from the teacher and the DFT labels.
    """
    moves = misalignment(teacher, frames, offsets)
    teacher = copy.deepcopy(teacher)
    add_offsets(teacher, moves)
    return teacher


def misalignment(potential: Potential, frames: Sequence[Frame], offsets: Mapping[int, float]) -> dict[int, float]:
    """Return by how much these offsets of labels exceed those of the potential's own energies, in eV by element."""
    found = [prediction.energy.cpu().numpy() for _, prediction in predictions(frames, potential)]
    energies = np.concatenate([np.zeros(0), *found])
    known = np.isfinite(energies)
    own = fit_offsets([f for f, k in zip(frames, known, strict=True) if k], energies[known])
    return {number: value - own.get(number, value) for number, value in offsets.items()}


def add_offsets(potential: Potential, moves: Mapping[int, float]) -> None:
    """Add to the energies of elements, in eV."""
    for number, value in moves.items():
        potential.energy_offsets[number] += value


def sources_of(
    network: Network,
    frames: Sequence[Frame],
    some: Sequence[Frame],
    strategy: Strategy,
    teacher: Potential | None,
    settings: TrainingSettings,
    perturbation: PerturbationSettings | None,
    seed: int,
    ranks: int,
) -> Sources:
    """Return the batches of a strategy: of the labelled frames and, with a teacher to learn from, of their children.

    The zero of energy of the teacher is determined from ``some`` of the frames. Each batch of an accumulated gradient
    is that of a rank.
    """
    ranks *= settings.accumulate
    size = settings.batch_size if settings.batch_atoms is None else None
    labelled = FrameBatches(frames, network.cutoff, size, seed, ranks, batch_atoms=settings.batch_atoms)
    if not strategy.learns_from_teacher:
        return Sources(labelled)
    assert teacher is not None
    with_energy = [f for f in some if f.energy is not None]
    stream = PerturbationStream(
        frames,
        aligned(teacher, with_energy, fit_offsets(with_energy)),
        perturbation or PerturbationSettings(),
        cutoff=network.cutoff,
        batch_size=size,
        batch_atoms=settings.batch_atoms,
        forces_only=not strategy.teacher_energies,
        seed=seed,
        ranks=ranks,
    )
    return Sources(labelled, stream)

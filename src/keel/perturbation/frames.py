"""Perturbed, labelled frames, to be written to a file and inspected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from keel.atoms.conversion import Structures, each_frame
from keel.atoms.frame import Frame
from keel.perturbation.children import Children, find_pairs, make_children
from keel.perturbation.labels import Counts, Labeller, beyond_caps
from keel.perturbation.parents import prepare
from keel.perturbation.settings import PerturbationSettings
from keel.perturbation.stream import check_parents
from keel.potentials.classical.along import follows_lists
from keel.potentials.external.opening import Given, open_potential
from keel.ranges import Seed, checked


def perturb(
    frames: Structures,
    teacher: Given,
    settings: PerturbationSettings | Mapping[str, Any] | None = None,
    seed: int = 0,
    counts: Counts | None = None,
) -> Iterator[Frame]:
    """Yield a labelled child of each frame for each round, and of the compressed frame, except those beyond a cap.

    A child's ``info`` is that of its parent, with ``round`` (from 1), ``parent`` (where the parent comes from) and, if
    the parent was compressed, ``length`` (as a share of its own); of these there is one for each length. The
    children of a frame depend on its number, the settings and the seed only.

    Parameters
    ----------
    frames
        Parents, of the training split.
    teacher
        Labels the children.
    settings
        How children are made.
    seed
        Seed of all random numbers.
    counts
        If given, children made and left out are counted in it (:meth:`Counts.zero`).

    Raises
    ------
    DataError
        If the teacher does not know an element.
    """
    frames, seed = each_frame(frames, labels=False), checked(Seed, seed, "seed")
    settings = PerturbationSettings.given(settings)
    counts = Counts.zero(settings.rounds) if counts is None else counts
    teacher = open_potential(teacher)
    labeller = Labeller(teacher, torch.float64 if follows_lists(teacher) else torch.float32)
    for number, frame in enumerate(frames):
        check_parents([frame], teacher)
        yield from _children_of(frame, labeller, settings, np.random.default_rng([seed, number]), counts)


def _children_of(
    frame: Frame, labeller: Labeller, settings: PerturbationSettings, rng: np.random.Generator, counts: Counts
) -> Iterator[Frame]:
    yield from _labelled(frame, np.arange(settings.rounds), labeller, settings, rng, counts)
    if not settings.compressed or not frame.pbc.all():
        return
    for length in settings.compressions:
        some = rng.integers(settings.rounds, size=1)
        for child in _labelled(frame.scaled(length), some, labeller, settings, rng, counts):
            source = f"{child.source}, compressed to {length:g}"
            yield child.replace(info={**child.info, "length": length}, source=source)


def _labelled(
    frame: Frame,
    rounds: NDArray[np.int64],
    labeller: Labeller,
    settings: PerturbationSettings,
    rng: np.random.Generator,
    counts: Counts,
) -> Iterator[Frame]:
    n = len(rounds)
    sizes, periodic = np.full(n, len(frame)), np.full(n, frame.pbc.all())
    parent = prepare(frame, labeller.teacher.cutoff, settings, np.float64)
    children = make_children([parent.partners] * n, sizes, periodic, rounds, settings, rng)
    pairs = find_pairs([parent] * n, children)
    labels, strongest = labeller(pairs, children.offsets)
    excess = np.zeros(n)
    if settings.energy_cap is not None:
        still = Children.unmoved(sizes[:1])
        energy = labeller(find_pairs([parent], still), still.offsets)[0].energy
        excess = (labels.energy - energy).numpy() / len(frame)
    strong, high = beyond_caps(strongest, excess, settings)
    counts.add(rounds, strong, high)
    forces, stresses = labels.forces.double().numpy(), labels.stress.double().numpy()
    for k in np.flatnonzero(~(strong | high)).tolist():
        atoms, number = slice(k * len(frame), (k + 1) * len(frame)), int(rounds[k]) + 1
        yield Frame(
            numbers=frame.numbers,
            positions=pairs.positions[atoms],
            cell=pairs.cells[k],
            pbc=frame.pbc,
            energy=float(labels.energy[k]),
            forces=forces[atoms],
            stress=stresses[k] if frame.pbc.all() else None,
            info={**frame.info, "round": number, "parent": frame.source},
            source=f"{frame.source}, round {number}",
        )

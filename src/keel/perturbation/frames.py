"""Perturbed, labelled frames to be written to a file and looked at."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from keel.atoms.frame import Frame
from keel.atoms.neighbours import batch
from keel.perturbation.children import Children, make_children
from keel.perturbation.labels import Counts, beyond_caps, labels_of
from keel.perturbation.parents import find_partners
from keel.perturbation.settings import PerturbationSettings
from keel.perturbation.stream import check_parents
from keel.potentials.base import Potential


def perturb(
    frames: Iterable[Frame],
    teacher: Potential,
    settings: PerturbationSettings | None = None,
    seed: int = 0,
    counts: Counts | None = None,
) -> Iterator[Frame]:
    """Yield a labelled child of each frame for each round, those beyond a cap left out.

    A child's ``info`` is that of its parent, with ``round`` (from 1) and ``parent`` (where the parent comes from). The
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
        Of everything random.
    counts
        If given, children made and left out are counted in it (:meth:`Counts.zero`).

    Raises
    ------
    DataError
        If the teacher does not know an element.
    """
    settings = settings or PerturbationSettings()
    counts = Counts.zero(settings.rounds) if counts is None else counts
    teacher = copy.deepcopy(teacher).to(torch.float32).eval().requires_grad_(False)
    for number, frame in enumerate(frames):
        check_parents([frame], teacher)
        yield from _children_of(frame, teacher, settings, np.random.default_rng([seed, number]), counts)


def _children_of(
    frame: Frame, teacher: Potential, settings: PerturbationSettings, rng: np.random.Generator, counts: Counts
) -> Iterator[Frame]:
    n = settings.rounds
    rounds = np.arange(n)
    children = make_children(
        [find_partners(frame, settings)] * n,
        np.full(n, len(frame)),
        np.full(n, frame.pbc.all()),
        rounds,
        settings,
        rng,
    )
    made = [_frame(frame, children, k) for k in rounds.tolist()]
    # The parent comes last, where its energy is needed.
    parents = [] if settings.energy_cap is None else [frame]
    graph = batch([*made, *parents], teacher.cutoff, half_list=teacher.half_list, dtype=torch.float32)
    labels = labels_of(teacher(graph), graph.periodic)
    excess = (labels.energy - labels.energy[-1]) / len(frame) if parents else torch.zeros_like(labels.energy)
    strong, high = (beyond[:n] for beyond in beyond_caps(labels, graph.batch, excess, settings))
    counts.add(rounds, strong, high)
    forces = labels.forces.double().numpy().reshape(-1, len(frame), 3)
    for k in np.flatnonzero(~(strong | high)):
        stress = labels.stress[k].double().numpy() if frame.pbc.all() else None
        yield made[k].replace(energy=float(labels.energy[k]), forces=forces[k], stress=stress)


def _frame(parent: Frame, children: Children, k: int) -> Frame:
    displacement = children.displacement[children.offsets[k] : children.offsets[k + 1]]
    return Frame(
        numbers=parent.numbers,
        positions=parent.positions @ children.deformation[k] + displacement,
        cell=parent.cell @ children.deformation[k],
        pbc=parent.pbc,
        info={**parent.info, "round": k + 1, "parent": parent.source},
        source=f"{parent.source}, round {k + 1}",
    )

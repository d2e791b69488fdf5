"""Structures evaluated many at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
import torch

from keel.atoms.elements import check_known
from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph, collate
from keel.atoms.kernels.skin_pairs import SkinPairs
from keel.atoms.linked import half_list
from keel.atoms.neighbours import graph_of, without_edges
from keel.atoms.stressed import stress_volumes
from keel.errors import KeelWarning, naming
from keel.parallel import plain
from keel.potentials.base import Potential, Prediction
from keel.potentials.classical.along import Along, AlongLists, follows_lists

Item = TypeVar("Item")
OF_ATOMS = ("initial_magmoms", "initial_charges")
"""Columns of ASE that calculators may start from, and that frames do not keep."""


def atoms_at_once(device: torch.device) -> int:
    """Return 1,024 for a CPU, where larger batches gain little for their memory, and 50,000 for a GPU."""
    return 1024 if device.type == "cpu" else 50_000


def groups(items: Iterable[Item], size: Callable[[Item], int], most: int) -> Iterator[list[Item]]:
    """Yield successive items in lists whose sizes sum to at most ``most``; a larger item alone. Items are streamed."""
    group: list[Item] = []
    total = 0
    for item in items:
        if group and total + size(item) > most:
            yield group
            group, total = [], 0
        group.append(item)
        total += size(item)
    if group:
        yield group


def known_to(potential: Potential, frames: Iterable[Frame]) -> list[Frame]:
    """Return the frames whose elements a potential knows."""
    return [f for f in frames if potential.elements is None or set(f.numbers.tolist()) <= set(potential.elements)]


def known_by(potential: Potential, frame: Frame, called: str = "this {}") -> Frame:
    """Return a frame; DataError, with its source, if it contains an element that the potential does not know."""
    name = called.format(type(potential).__name__)
    check_known(np.unique(frame.numbers).tolist(), potential.elements, f"{frame.source}: {name}")
    lost = [column for column in OF_ATOMS if column in frame.unused]
    if lost and any(getattr(part, "of_others", False) for part in potential.modules()):
        # Without the frame's name, so that it is said once.
        warnings.warn(
            f"{' and '.join(lost)} of the data are not passed on to the calculator, which starts from its defaults; "
            "its energies may be those of another magnetic or charge state",
            KeelWarning,
            stacklevel=2,
        )
    return frame


def batches(frames: Iterable[Frame], potential: Potential, max_atoms: int | None = None) -> Iterator[AtomGraph]:
    """Yield the frames as batches of at most ``max_atoms`` atoms (or one larger frame), on the potential's device.

    None: :func:`atoms_at_once`.
    """
    most = max_atoms or atoms_at_once(potential.device)
    known = (known_by(potential, frame) for frame in frames)
    graphs = (graph_of(f, potential.cutoff, half_list=potential.half_list, dtype=potential.dtype) for f in known)
    for members in groups(graphs, lambda graph: graph.n_atoms, most):
        yield collate(members).to(potential.device)


def predictions(
    frames: Iterable[Frame], potential: Potential, max_atoms: int | None = None
) -> Iterator[tuple[AtomGraph, Prediction]]:
    """Yield the frames as :func:`batches` does, with the predictions of the potential.

    Closed forms on CPU need no graph: theirs has no edges, and their predictions are float64.
    """
    if not (isinstance(potential, AlongLists) and follows_lists(potential)):
        for graph in batches(frames, potential, max_atoms):
            yield graph, potential(graph)
        return
    along = potential.along_lists()
    known = (known_by(potential, frame) for frame in frames)
    for members in groups(known, len, max_atoms or atoms_at_once(potential.device)):
        graph = without_edges(members, potential.cutoff, half_list=potential.half_list, dtype=torch.float64)
        yield graph, _along_lists(along, potential, members, graph)


def _along_lists(along: Along, potential: Potential, frames: list[Frame], graph: AtomGraph) -> Prediction:
    pairs = _pairs_of(frames, potential.cutoff, graph)
    found = along(pairs, plain(graph.positions))
    atomic = found.energies + plain(potential.offsets()).take(pairs.numbers)
    starts = np.cumsum([0, *map(len, frames[:-1])])
    volume = stress_volumes(plain(graph.cell), plain(graph.pbc))
    of_structures = np.add.reduceat(atomic, starts), found.forces, found.stress(volume), atomic
    return Prediction(*map(torch.from_numpy, of_structures))


def _pairs_of(frames: list[Frame], cutoff: float, graph: AtomGraph) -> SkinPairs:
    lists = []
    for frame in frames:
        with naming(frame.source):
            lists.append(half_list(frame.positions, frame.cell, frame.pbc, cutoff))
    sizes = [len(pairs.j_of) for pairs in lists]
    counts = np.concatenate([np.diff(pairs.first_of) for pairs in lists])
    starts = np.cumsum([0, *map(len, frames[:-1])]).repeat(sizes)
    translations = [pairs.shifts @ frame.cell for pairs, frame in zip(lists, frames, strict=True)]
    i_of, j_of = np.arange(len(counts)).repeat(counts), np.concatenate([pairs.j_of for pairs in lists]) + starts
    pairs = SkinPairs.of(i_of, j_of, np.arange(len(j_of), dtype=np.int32), plain(graph.batch), plain(graph.numbers))
    pairs.offsets = np.concatenate(translations)
    return pairs

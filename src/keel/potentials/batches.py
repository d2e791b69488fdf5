"""How many structures are evaluated at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch

from keel.atoms.frame import Frame
from keel.atoms.graph import AtomGraph, collate
from keel.atoms.neighbours import graph_of
from keel.potentials.base import Potential

Item = TypeVar("Item")


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


def batches(frames: Iterable[Frame], potential: Potential, max_atoms: int | None = None) -> Iterator[AtomGraph]:
    """Yield the frames as batches of at most ``max_atoms`` atoms (or one larger frame), where the potential is.

    None: :func:`atoms_at_once`.
    """
    most = max_atoms or atoms_at_once(potential.device)
    graphs = (graph_of(f, potential.cutoff, half_list=potential.half_list, dtype=potential.dtype) for f in frames)
    for members in groups(graphs, lambda graph: graph.n_atoms, most):
        yield collate(members).to(potential.device)

"""Structures in one batch: what every potential takes."""

from __future__ import annotations

import torch

from keel.atoms.conversion import Structures, each_frame
from keel.atoms.graph import AtomGraph
from keel.atoms.neighbours import graphs_of
from keel.ranges import Cutoff, checked


def batch(frames: Structures, cutoff: float, *, half_list: bool = False, dtype: torch.dtype | None = None) -> AtomGraph:
    """Build the neighbour lists of some structures and join them into one batch.

    Parameters
    ----------
    frames
        Frames, ``ase.Atoms`` or files (:func:`keel.atoms.as_frames`), with the labels that they have.
    cutoff
        Radius of the neighbour list in angstrom; at least that of the potential.
    half_list
        Each pair once instead of twice.
    dtype
        Floating-point dtype of the graph (torch's default dtype if None).

    Raises
    ------
    ConfigError
        If the cutoff cannot be one.
    DataError
        If there is no structure, or one cannot have a neighbour list (says which and why).

    Examples
    --------
    >>> import keel
    >>> keel.batch(keel.datasets.phosphorus()[:2], cutoff=5.0)
    AtomGraph(structures 2; atoms 64; edges 1,290; within 5 angstrom)
    """
    cutoff = checked(Cutoff, cutoff, "cutoff")
    return graphs_of(list(each_frame(frames)), cutoff, half_list=half_list, dtype=dtype)

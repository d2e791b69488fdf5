"""Which structures have a stress, and per what volume.

A stress is (1/V) dE/d strain with V = |det cell|, whatever the hand of the cell: a left-handed cell has the stress of
the right-handed one. What is periodic in two directions (a slab, a two-dimensional crystal) or in one (a wire, a
nanotube) has one in ASE's convention: per volume of the cell, vacuum included. Times this volume it is dE/d strain; the
components in the plane or along the wire relax the lattice, those across it vanish where the atoms are at rest and say
nothing about the vacuum. A molecule has none, nor has a cell of which a vector is zero: it has no volume.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from keel.atoms.frame import Array

FLAT = 1e-6
"""A cell counts as flat if its volume is less than this share of the product of its lengths."""


def stress_volumes(cells: Array, pbc: NDArray[np.bool_]) -> Array:
    """Return the volumes in angstrom^3 that stresses refer to, NaN where there is no stress, shape (B,).

    Parameters
    ----------
    cells, pbc
        Lattice vectors as rows in angstrom, shape (B, 3, 3), and whether each is periodic, shape (B, 3).
    """
    volumes = np.abs(np.linalg.det(cells))
    there = pbc.any(axis=1) & (volumes > FLAT * np.linalg.norm(cells, axis=2).prod(axis=1))
    return np.where(there, volumes, np.nan)


def have_stress(cells: Tensor, pbc: Tensor) -> Tensor:
    """Return which structures have a stress, bool, shape (B,), from tensors; see :func:`stress_volumes`."""
    solid = torch.linalg.det(cells).abs() > FLAT * torch.linalg.vector_norm(cells, dim=2).prod(dim=1)
    there: Tensor = pbc.any(dim=1) & solid
    return there

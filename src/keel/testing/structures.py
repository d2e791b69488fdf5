"""The structures on which the contract of potentials is tried: ordinary ones, and those that break codes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch

from keel.atoms.batching import batch
from keel.atoms.elements import COVALENT_RADII
from keel.atoms.frame import Frame
from keel.potentials.base import lengths

STRUCTURES = ("periodic", "tiny cell", "slab", "molecule", "one atom", "no edge", "two systems")
"""Names of the trial structures, each a batch of one or two frames."""

PERIODIC = ("periodic", "tiny cell", "two systems")
"""Those with a frame that is periodic in three directions, which therefore has a stress."""

GAP = 1e-3
"""No distance is this close to the cutoff (in cutoffs), if possible; finite differences change it by 1e-4."""

SHEAR = np.array([[1.0, 0.0, 0.0], [0.2, 1.0, 0.0], [-0.1, 0.3, 1.0]])


def trial_frames(name: str, elements: Sequence[int], cutoff: float) -> list[Frame]:
    """Return the frames of a trial structure, made of the given elements for a potential of the given cutoff.

    Atoms are on a jittered, sheared grid with the spacing of chemical bonds, or wider: not less than a quarter of the
    cutoff, or an atom of hydrogen would have thousands of neighbours. No two are at the cutoff from each other.

    Raises
    ------
    KeyError
        If there is no structure with that name.
    """
    if name == "periodic":
        return [_grid((2, 2, 2), elements, cutoff, (True, True, True))]
    if name == "tiny cell":
        return [_grid((1, 1, 2), elements, cutoff, (True, True, True))]
    if name == "slab":
        return [_grid((2, 1, 2), elements, cutoff, (True, True, False))]
    if name == "molecule":
        return [_grid((1, 2, 3), elements, cutoff, (False, False, False))]
    if name == "one atom":
        return [_molecule(elements[:1], [[0.3, -0.2, 0.1]])]
    if name == "no edge":
        return [_molecule([elements[0], elements[-1]], [[0.0, 0.0, 0.0], [0.0, 2.5 * cutoff, 0.0]])]
    if name == "two systems":
        return [*trial_frames("molecule", elements, cutoff), *trial_frames("periodic", elements[::-1], cutoff)]
    raise KeyError(name)


def dimer(first: int, second: int, distance: float) -> Frame:
    """Return two atoms without a cell."""
    return _molecule([first, second], [[0.0, 0.0, 0.0], [0.6 * distance, 0.0, 0.8 * distance]])


def atom(number: int) -> Frame:
    """Return one atom without a cell."""
    return _molecule([number], [[0.0, 0.0, 0.0]])


def _molecule(numbers: Sequence[int], positions: Sequence[Sequence[float]]) -> Frame:
    return Frame(numbers=np.array(numbers, dtype=np.int64), positions=np.array(positions, dtype=np.float64))


def _grid(shape: tuple[int, int, int], elements: Sequence[int], cutoff: float, pbc: tuple[bool, ...]) -> Frame:
    frame = _unscaled(shape, elements, cutoff, pbc)
    scale = _off_the_cutoff(shape, tuple(map(int, elements)), float(cutoff), pbc)
    return frame.scaled(scale)


def _unscaled(shape: tuple[int, int, int], elements: Sequence[int], cutoff: float, pbc: tuple[bool, ...]) -> Frame:
    n = int(np.prod(shape))
    numbers = np.resize(np.array(elements, dtype=np.int64), n)
    spacing = max(2.1 * float(COVALENT_RADII[numbers].mean()), 0.25 * cutoff)
    points = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(n, 3)
    jitter = np.random.default_rng(n).uniform(-0.08, 0.08, (n, 3))
    cell = spacing * np.array(shape)[:, None] * SHEAR
    cell[[not p for p in pbc]] = 0.0
    positions = spacing * (points + jitter) @ SHEAR
    return Frame(numbers=numbers, positions=positions, cell=cell, pbc=np.array(pbc), source=f"trial structure {shape}")


@cache
def _off_the_cutoff(
    shape: tuple[int, int, int], elements: tuple[int, ...], cutoff: float, pbc: tuple[bool, ...]
) -> float:
    """Return a scale of a grid, a little above 1, at which no distance is the cutoff.

    There a potential that is cut off abruptly has no derivative, and rounding decides which atoms are neighbours.
    """
    frame = _unscaled(shape, elements, cutoff, pbc)
    r = lengths(batch([frame], (1 + 2 * GAP) * cutoff, dtype=torch.float64).edge_vectors()).numpy()
    scales = np.linspace(1.0, 1.1, 200)
    gaps = np.abs(scales[:, None] * r - cutoff).min(axis=1, initial=GAP * cutoff)
    return float(scales[gaps.argmax()])

"""Properties of every potential, as functions that raise an AssertionError where one is violated.

Each takes a potential and the frames of a trial structure; the potential's dtype decides how closely numbers must
agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from keel.atoms.batching import batch
from keel.atoms.frame import Frame
from keel.atoms.verlet import VerletList
from keel.potentials.base import Potential, Prediction
from keel.potentials.classical.along import AlongLists, follows_lists
from keel.testing.differences import displaced, slopes, strained
from keel.testing.transformations import (
    batched,
    energies,
    left_handed,
    permuted,
    predict,
    rotated,
    supercells,
    translated,
    wrapped,
)

Check = Callable[[Potential, Sequence[Frame]], None]

STEP = 1e-4
"""Step of finite differences, in angstrom or as a strain."""

SINGLE = 2e-3
"""Tolerance for rounding in float32, relative to the largest value. Large untrained networks reach 1e-3; float64
distinguishes rounding from mistakes."""


TABLES = 1e-6
"""Tolerance for tables of functions, relative to the largest value."""


def assert_equal(what: str, found: ArrayLike, expected: ArrayLike, scale: float, tolerance: float) -> None:
    """Raise unless two arrays agree to ``tolerance`` times ``scale`` (not less than 1e-3 eV or eV/angstrom)."""
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    assert found.shape == expected.shape, f"{what}: shape {found.shape} instead of {expected.shape}"
    difference = float(np.abs(found - expected).max(initial=0.0))
    allowed = tolerance * max(scale, 1e-3)
    # Not (difference <= allowed), so that NaN fails.
    assert difference <= allowed, f"{what} differ by {difference:.3g}, more than {allowed:.3g}"


def assert_same(a: Prediction, b: Prediction, what: str, tolerance: float | None = None) -> None:
    """Raise unless two predictions agree to rounding in the dtype of their forces (or to a relative tolerance)."""
    assert a.forces is not None, "there are no forces"
    assert b.forces is not None, "there are no forces"
    assert a.stress is not None, "there is no stress"
    assert b.stress is not None, "there is no stress"
    if tolerance is None:
        tolerance = _rounding(a.forces.dtype)
    assert_equal(f"{what}: energies", a.energy, b.energy, _size(b), tolerance)
    largest = _largest(b.atomic_energies)
    assert_equal(f"{what}: atomic energies", a.atomic_energies, b.atomic_energies, largest, tolerance)
    assert_equal(f"{what}: forces", a.forces, b.forces, _largest(b.forces), tolerance)
    assert bool((a.stress.isnan() == b.stress.isnan()).all()), f"{what}: stresses exist for different structures"
    assert_equal(f"{what}: stresses", a.stress.nan_to_num(), b.stress.nan_to_num(), _largest(b.stress), tolerance)


def result(potential: Potential, frames: Sequence[Frame]) -> None:
    """Shapes and dtypes are right, all is finite, forces add up to zero, stress is symmetric or NaN."""
    p = predict(potential, frames)
    n, directions = sum(map(len, frames)), torch.tensor([int(f.pbc.sum()) for f in frames])
    assert p.forces is not None, "there are no forces"
    assert p.stress is not None, "there is no stress"
    assert p.energy.shape == (len(frames),), f"energy has shape {tuple(p.energy.shape)}"
    assert p.energy.dtype == p.atomic_energies.dtype == torch.float64, "energies are not in float64"
    assert p.atomic_energies.shape == (n,), f"atomic energies have shape {tuple(p.atomic_energies.shape)}"
    assert p.forces.shape == (n, 3), f"forces have shape {tuple(p.forces.shape)}"
    assert p.stress.shape == (len(frames), 3, 3), f"stress has shape {tuple(p.stress.shape)}"
    assert p.forces.dtype == p.stress.dtype == potential.dtype, "forces or stress are not in the potential's dtype"
    assert bool(p.energy.isfinite().all() and p.forces.isfinite().all()), "energy or forces are not finite"
    defined = p.stress.isfinite().all(dim=2).all(dim=1)
    assert bool(defined[directions == 3].all()), "stress must be finite where pbc is True in three directions"
    assert not defined[directions == 0].any(), "stress must be NaN where pbc is True in no direction"
    assert not p.energy.requires_grad, "the energy holds on to an autograd graph"
    assert not p.forces.requires_grad, "the forces hold on to an autograd graph"
    tolerance = _rounding(potential.dtype)
    start = 0
    for frame in frames:
        total = p.forces[start : start + len(frame)].sum(dim=0)
        assert_equal("total forces", total, np.zeros(3), _largest(p.forces), tolerance)
        start += len(frame)
    stress = p.stress.nan_to_num()
    assert_equal("stress and its transpose", stress, stress.transpose(1, 2), _largest(stress), tolerance)


def translation(potential: Potential, frames: Sequence[Frame]) -> None:
    """Nothing depends on the origin."""
    assert_same(*translated(potential, frames), "translated structures")


def rotation(potential: Potential, frames: Sequence[Frame]) -> None:
    """Energies do not change; forces and stress rotate with the structure."""
    assert_same(*rotated(potential, frames), "rotated structures")


def permutation(potential: Potential, frames: Sequence[Frame]) -> None:
    """Nothing depends on the order of the atoms."""
    assert_same(*permuted(potential, frames), "permuted structures")


def wrapping(potential: Potential, frames: Sequence[Frame]) -> None:
    """An atom may be in any image of the cell."""
    assert_same(*wrapped(potential, frames), "structures with atoms in other images")


def hand(potential: Potential, frames: Sequence[Frame]) -> None:
    """The vectors of a cell may be given in any order, which turns it from right- to left-handed."""
    assert_same(*left_handed(potential, frames), "structures with a left-handed cell")


def batching(potential: Potential, frames: Sequence[Frame]) -> None:
    """A batch equals its members."""
    assert_same(*batched(potential, frames), "members of a batch")


def extensivity(potential: Potential, frames: Sequence[Frame]) -> None:
    """Energies of supercells, and of fragments that do not interact, add up."""
    assert_same(*supercells(potential, frames), "doubled structures")


def list_kinds(potential: Potential, frames: Sequence[Frame]) -> None:
    """Half, full and Verlet lists, and lists that reach further than the cutoff, give the same, as do edge vectors."""
    expected = predict(potential, frames)
    for half_list in (False, True):
        for cutoff in (potential.cutoff, 1.3 * potential.cutoff):
            graph = batch(frames, cutoff, half_list=half_list, dtype=potential.dtype)
            assert_same(potential(graph), expected, f"lists (half_list={half_list}, cutoff={cutoff:g})")
            known = potential(graph, vectors=graph.edge_vectors().T.contiguous().T)
            assert_same(known, expected, "known edge vectors")
    energy = potential(graph, derivatives=False).energy
    assert_equal("energies without derivatives", energy, expected.energy, _size(expected), _rounding(potential.dtype))
    if isinstance(potential, AlongLists) and follows_lists(potential):
        _same_along_lists(potential, frames, expected)


def _same_along_lists(potential: Potential, frames: Sequence[Frame], expected: Prediction) -> None:
    assert isinstance(potential, AlongLists)
    assert expected.forces is not None, "there are no forces"
    positions = np.concatenate([f.positions for f in frames])
    lists = VerletList(frames, potential.cutoff, half_list=True, dtype=torch.float64)
    found = potential.along_lists()(lists.pairs(torch.from_numpy(positions)), positions)
    atoms = np.concatenate([f.numbers for f in frames])
    tolerance = max(_rounding(potential.dtype), TABLES)
    own = found.energies + potential.offsets().numpy()[atoms]
    largest = _largest(expected.atomic_energies)
    assert_equal("atomic energies along a Verlet list", own, expected.atomic_energies, largest, tolerance)
    assert_equal("forces along a Verlet list", found.forces, expected.forces, _largest(expected.forces), tolerance)


def forces(potential: Potential, frames: Sequence[Frame]) -> None:
    """Forces are -dE/dx, by central differences (float64)."""
    for frame in frames:
        energy = energies(potential, displaced(frame, range(3 * len(frame)), STEP))
        found = predict(potential, [frame]).forces
        assert found is not None, "there are no forces"
        difference = -slopes(energy, STEP).reshape(-1, 3)
        assert_equal("forces and -dE/dx", found, difference, _largest(found), 1e-5)


def stress(potential: Potential, frames: Sequence[Frame]) -> None:
    """Stress is (1/V) dE/d strain, by central differences (float64)."""
    for frame in (f for f in frames if f.pbc.sum() > 1):
        found = predict(potential, [frame]).stress
        assert found is not None, "there is no stress"
        if not frame.pbc.all() and bool(found.isnan().all()):
            continue
        difference = slopes(energies(potential, strained(frame, STEP)), STEP).reshape(3, 3) / frame.volume
        assert_equal("stress and dE/d strain / V", found[0], difference, _largest(found), 1e-5)


INVARIANCES: dict[str, Check] = {
    check.__name__: check
    for check in (result, translation, rotation, permutation, wrapping, hand, batching, extensivity, list_kinds)
}
"""Checks in either dtype."""

DERIVATIVES: dict[str, Check] = {check.__name__: check for check in (forces, stress)}
"""Checks in float64."""


def _rounding(dtype: torch.dtype) -> float:
    return 1e-9 if dtype == torch.float64 else SINGLE


def _size(prediction: Prediction) -> float:
    """Energies of atoms may cancel in their sum, their rounding does not."""
    return float(prediction.atomic_energies.abs().sum())


def _largest(values: Tensor) -> float:
    return float(values.nan_to_num().abs().max()) if values.numel() else 0.0

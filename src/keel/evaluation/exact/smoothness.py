"""Do energy and force stay smooth where neighbours cross the cutoff?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Array, Frame
from keel.atoms.neighbours import neighbour_list
from keel.errors import ConfigError
from keel.evaluation.check import CheckResult, Curve, Metric, judged
from keel.evaluation.exact.jumps import SMOOTH, RoughError, largest_jump
from keel.evaluation.probing import all_rattled, energies_and_forces, prepared, size_of
from keel.potentials.accuracy import MILLI
from keel.potentials.base import Potential

DRAWS = 20
"""Number of paths to choose from."""
PLACES = 10
"""Places of a path that are examined with smaller spacings, for the energy and for the force."""


def smoothness(
    potential: Potential,
    frames: Structures,
    *,
    length: float = 0.5,
    n_points: int = 201,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> CheckResult:
    """Move an atom of each structure along a straight line and check the energy and its force for jumps.

    Skipped where no neighbour crosses the cutoff on the way and nothing jumps, and where energy or force is too rough
    to tell.

    Parameters
    ----------
    potential
        The potential to be probed.
    frames
        Structures; they are rattled by 0.05 angstrom.
    seed
        Seed of displacements and choices.
    length, n_points
        Length of the path in angstrom, centred on the atom, and number of points; of several random atoms and
        directions, the path on which most neighbours cross the cutoff is taken.
    dtype
        Precision to judge in; float32 for a potential that always computes in it.

    Raises
    ------
    ConfigError, DataError
        If the path has fewer than 5 points; see also :func:`~keel.evaluation.probing.prepared`.
    """
    frames = as_frames(frames, labels=False)
    if n_points < 5:
        raise ConfigError(f"a path needs at least 5 points to find jumps, not {n_points}")
    model, rng = prepared(potential, frames, dtype), np.random.default_rng(seed)
    path = np.linspace(-0.5 * length, 0.5 * length, n_points)
    lines = [_busiest(model, f, rng, path) for f in all_rattled(frames, seed)]
    crossings = sum(line.crossings(path) for line in lines)
    found, rough = [], list[_Line]()
    for line in lines:
        try:
            # Where one path is rough, the others are not worth as many evaluations.
            found.append((line.jumps(path, SMOOTH[dtype], 0 if rough else PLACES), line.scale, line))
        except RoughError:
            rough.append(line)
    unclear = f"jumps cannot be told from steep slopes: energy or force is rough at {path[1] - path[0]:.2g} angstrom"
    if not found:
        return CheckResult("smoothness", (), rough[0].curves(path), "skipped", unclear)
    jumps, scale, worst = max(found, key=lambda f: np.nan_to_num((f[0] / f[1]).max(), nan=np.inf))
    limit = MILLI * SMOOTH[dtype] * scale
    metrics = (
        Metric("energy jump", MILLI * float(jumps[0]), "meV", limit),
        Metric("force jump", MILLI * float(jumps[1]), "meV/angstrom", limit),
        Metric("neighbours that crossed the cutoff", crossings),
    )
    good = f"{crossings} neighbours crossed the cutoff, and the force did not jump by {limit:.2g} meV/angstrom"
    bad = "energy or force jumps, however small the spacing of points"
    result = judged("smoothness", metrics, worst.curves(path), good, bad)
    if result.outcome == "passed" and rough:
        return replace(result, outcome="skipped", verdict=unclear)
    if result.outcome == "passed" and crossings == 0:
        why = f"no neighbour crossed the cutoff of {model.cutoff:g} angstrom; give a larger structure or a longer path"
        return replace(result, outcome="skipped", verdict=why)
    return result


class _Line:
    """A straight line through the place of an atom, both drawn at random."""

    def __init__(self, model: Potential, frame: Frame, rng: np.random.Generator) -> None:
        self.model, self.frame, self.atom = model, frame, int(rng.integers(len(frame)))
        self.direction = rng.normal(size=3)
        self.direction /= np.linalg.norm(self.direction)

    def along(self, path: Array) -> Array:
        """Return energies, and forces on the atom along the line, at displacements (K,), shape (2, K)."""
        moved = []
        for distance in path:
            positions = self.frame.positions.copy()
            positions[self.atom] += distance * self.direction
            moved.append(self.frame.replace(positions=positions))
        energies, forces = energies_and_forces(self.model, moved)
        return np.stack([energies, forces[:, self.atom] @ self.direction])

    def jumps(self, path: Array, share: float, places: int) -> Array:
        """Return the largest jumps of energy and force (2,); above the limit, those left with smaller spacings."""
        self.values = self.along(path)
        self.scale = size_of(energies_and_forces(self.model, [self.frame])[1])
        return np.array([self._jump(quantity, path, share * self.scale, places) for quantity in range(2)])

    def _jump(self, quantity: int, path: Array, limit: float, places: int) -> float:
        return largest_jump(path, self.values[quantity], lambda x: self.along(x)[quantity], limit, places)

    def crossings(self, path: Array) -> int:
        """Return how often a neighbour enters or leaves the cutoff of the atom."""
        frame, cutoff, shifts = self.frame, self.model.cutoff, path[:, None, None] * self.direction
        (i, j), images = neighbour_list(frame.positions, frame.cell, frame.pbc, cutoff + float(np.abs(path).max()))
        own = (i == self.atom) & (j != self.atom)
        vectors = frame.positions[j[own]] + images[own] @ frame.cell - frame.positions[self.atom]
        inside = np.linalg.norm(vectors - shifts, axis=2) < cutoff
        return int((inside[1:] != inside[:-1]).sum())

    def curves(self, path: Array) -> tuple[Curve, Curve]:
        """Return the curves that :meth:`jumps` examined."""
        energy, force = self.values
        return (
            Curve("energy", path, energy - energy[0], "displacement (angstrom)", "energy (eV)"),
            Curve("force", path, force, "displacement (angstrom)", "force along the path (eV/angstrom)"),
        )


def _busiest(model: Potential, frame: Frame, rng: np.random.Generator, path: Array) -> _Line:
    return max((_Line(model, frame, rng) for _ in range(DRAWS)), key=lambda line: line.crossings(path))

"""Does the energy grow with the size of the structure, and how far does an atom see?"""

from __future__ import annotations

import numpy as np
import torch

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Array, Frame
from keel.evaluation.check import CheckResult, Curve, Metric, judged
from keel.evaluation.exact.invariance import INVARIANT, deviation, volume_of_an_atom
from keel.evaluation.probing import all_rattled, energies_and_forces, nearest_images, prepared, rattled
from keel.potentials.base import Potential
from keel.testing.transformations import supercells

NEGLIGIBLE = {torch.float32: 1e-4, torch.float64: 1e-8}
"""A force that changes by less than this share of the largest change does not respond: above the rounding of positions
and sums (1e-6 and 1e-15 of forces of 1 eV/angstrom) as a share of a response of some 0.1 eV/angstrom."""

CUTOFFS = 8.0
"""A force depends on atoms within two cutoffs for each layer of a network (one for an EAM, half for pairs): these are
four layers."""


def extensivity(
    potential: Potential, frames: Structures, *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> CheckResult:
    """Double each structure along each periodic direction: energies per atom, forces and stress must not change.

    A molecule gets a copy beyond the reach of its interactions.

    Parameters
    ----------
    potential
        The potential to be probed.
    frames
        Structures; they are rattled by 0.05 angstrom.
    seed
        Seed of displacements and choices.
    dtype
        Precision to judge in; float32 for a potential that always computes in it.

    Raises
    ------
    ConfigError, DataError
        See :func:`~keel.evaluation.probing.prepared`.
    """
    frames = as_frames(frames, labels=False)
    model = prepared(potential, frames, dtype)
    structures = all_rattled(frames, seed)
    change = deviation(*supercells(model, structures), volume_of_an_atom(structures))
    return judged(
        "extensivity",
        (Metric("supercells", change, "of the RMS force", INVARIANT[dtype]),),
        (),
        f"twice the structure has twice the energy and the same forces, to {change:.1e}",
        "supercells do not have the energy and forces of their cells",
    )


def locality(
    potential: Potential,
    frames: Structures,
    *,
    reach: float | None = None,
    displacement: float = 0.1,
    max_atoms: int = 4000,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> CheckResult:
    """Move one atom of a long supercell and see how far away the forces on others change.

    The range is the distance of the farthest atom whose force responds. It depends on the structure as well: a network
    passes on only what neighbours carry.

    Parameters
    ----------
    potential
        The potential to be probed.
    frames
        Structures; the one whose supercell has the fewest atoms is taken, and rattled by 0.05 angstrom. It is repeated
        along one direction until it is longer than twice ``reach``.
    seed
        Seed of displacements and choices.
    reach
        Distance in angstrom beyond which no force may respond; None: :data:`CUTOFFS` cutoffs.
    displacement
        In angstrom, in a random direction.
    max_atoms
        Skipped if the supercell needs more.
    dtype
        Precision to judge in; float32 for a potential that always computes in it.

    Raises
    ------
    ConfigError, DataError
        See :func:`~keel.evaluation.probing.prepared`.
    """
    frames = as_frames(frames, labels=False)
    model, reach = prepared(potential, frames, dtype), CUTOFFS * potential.cutoff if reach is None else reach
    cells = [long for frame in frames if (long := _long_cell(frame, 2.0 * reach)) is not None]
    cell = min(cells, key=len, default=None)
    if cell is None or len(cell) > max_atoms:
        why = "no structure is periodic" if cell is None else f"the supercell would need {len(cell)} atoms"
        return CheckResult("locality", (), (), "skipped", f"the range was not measured: {why}")
    distance, change = _response(model, rattled(cell, seed), displacement, seed)
    # Not (change <= ...), so that NaN responds.
    responds = ~(change <= NEGLIGIBLE[dtype] * change.max())
    measured = float(distance[responds].max(initial=0.0))
    order = np.argsort(distance)
    curve = Curve("response", distance[order], change[order], "distance (angstrom)", "change of force (eV/angstrom)")
    return judged(
        "locality",
        (Metric("range", measured, "angstrom", reach), Metric("cutoff", model.cutoff, "angstrom")),
        (curve,),
        f"a force depends on atoms up to {measured:.1f} angstrom away, and on none beyond",
        "forces depend on atoms out of range",
    )


def _long_cell(frame: Frame, length: float) -> Frame | None:
    """Return the supercell with the fewest atoms that is longer than this along one periodic direction."""
    if not frame.pbc.any():
        return None
    # Distances between lattice planes; a direction that is not periodic has a unit vector of its own.
    heights = 1.0 / np.linalg.norm(np.linalg.pinv(frame.cell * frame.pbc[:, None]), axis=0)[frame.pbc]
    longest = int(np.argmax(heights))
    repeats = [1, 1, 1]
    repeats[int(np.flatnonzero(frame.pbc)[longest])] = int(length // heights[longest]) + 1
    return frame.repeated(repeats)


def _response(model: Potential, cell: Frame, displacement: float, seed: int) -> tuple[Array, Array]:
    """Return the distance of each atom from one that moves, and the change of the force on it, each (N,)."""
    rng = np.random.default_rng(seed)
    atom, direction = int(rng.integers(len(cell))), rng.normal(size=3)
    positions = cell.positions.copy()
    positions[atom] += displacement * direction / np.linalg.norm(direction)
    before, after = (energies_and_forces(model, [f])[1][0] for f in (cell, cell.replace(positions=positions)))
    return nearest_images(cell, atom), np.linalg.norm(after - before, axis=1)

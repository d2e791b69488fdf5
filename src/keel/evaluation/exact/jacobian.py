"""Is the Jacobian of the forces symmetric, as that of any gradient?"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Array, Frame
from keel.evaluation.check import CheckResult, Metric, judged
from keel.evaluation.probing import STEPS, all_rattled, energies_and_forces, nearest_images, prepared
from keel.potentials.base import Potential
from keel.testing.differences import displaced, slopes

SYMMETRIC = {torch.float32: 1e-3, torch.float64: 1e-5}
"""Networks that predict forces directly have an asymmetry of about 1e-2; rounding leaves 1e-4 and 1e-11."""


def jacobian_symmetry(
    potential: Potential,
    frames: Structures,
    *,
    n_atoms: int = 4,
    n_groups: int = 3,
    step: float | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> CheckResult:
    """Measure the asymmetry |J - J^T| / |J| (Frobenius norms) of J_ij = dF_i/dx_j.

    J is found by central differences of forces, for any potential, on groups of an atom and its nearest neighbours,
    whose forces depend on each other. The median over groups is judged: one in which a neighbour crosses the cutoff
    within the step says nothing about symmetry.

    Source: Bigi, Langer and Ceriotti, "The dark side of the forces", arXiv 2412.11569.

    Parameters
    ----------
    potential
        The potential to be probed.
    frames
        Structures; they are rattled by 0.05 angstrom.
    seed
        Seed of displacements and choices.
    n_atoms, n_groups
        Atoms in a group; groups in a structure, around atoms drawn at random.
    step
        Displacement in angstrom; None: by the precision.
    dtype
        Precision to judge in; float32 for a potential that always computes in it.

    Raises
    ------
    ConfigError, DataError
        See :func:`~keel.evaluation.probing.prepared`.
    """
    frames = as_frames(frames, labels=False)
    model, step = prepared(potential, frames, dtype), step or STEPS[dtype]
    found = []
    for k, frame in enumerate(all_rattled(frames, seed)):
        centres = np.random.default_rng([seed, k]).choice(len(frame), min(len(frame), n_groups), replace=False)
        found += [_asymmetry(_jacobian(model, frame, _group(frame, c, n_atoms), step)) for c in centres]
    typical = float(np.median(found))
    metrics = (
        Metric("asymmetry", typical, "of the Jacobian", SYMMETRIC[dtype]),
        Metric("largest asymmetry", float(np.max(found)), "of the Jacobian"),
    )
    return judged(
        "Jacobian symmetry",
        metrics,
        (),
        f"forces have a symmetric Jacobian, to {typical:.1e} of its size",
        "forces have no symmetric Jacobian and are not conservative",
    )


def _group(frame: Frame, centre: int, n_atoms: int) -> NDArray[np.int64]:
    """Return the coordinates (3 m,) of an atom and its nearest neighbours."""
    atoms = np.argsort(nearest_images(frame, centre), kind="stable")[:n_atoms]
    return (3 * atoms[:, None] + np.arange(3)).reshape(-1)


def _jacobian(model: Potential, frame: Frame, coordinates: NDArray[np.int64], step: float) -> Array:
    forces = energies_and_forces(model, displaced(frame, coordinates, step))[1]
    return slopes(forces.reshape(len(forces), -1)[:, coordinates], step)


def _asymmetry(jacobian: Array) -> float:
    size = np.linalg.norm(jacobian)
    # Atoms that do not interact: no forces, nothing to be asymmetric.
    return float(np.linalg.norm(jacobian - jacobian.T) / size) if size != 0 else 0.0

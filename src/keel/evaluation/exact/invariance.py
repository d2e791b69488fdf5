"""Does a result depend on arbitrary choices: origin, orientation, order, images, handedness of the cell, batch?"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Frame
from keel.evaluation.check import CheckResult, Metric, judged
from keel.evaluation.probing import SMALLEST_FORCE, all_rattled, prepared
from keel.potentials.base import Potential, Prediction
from keel.testing.transformations import (
    Transformation,
    batched,
    left_handed,
    permuted,
    rotated,
    translated,
    wrapped,
)

TRANSFORMATIONS: dict[str, Transformation] = {
    "translation": translated,
    "rotation": rotated,
    "permutation": permuted,
    "wrapping": wrapped,
    "left-handed cell": left_handed,
    "batching": batched,
}

INVARIANT = {torch.float32: 1e-3, torch.float64: 1e-8}
"""See :func:`deviation`. Positions of 100 angstrom are rounded to 1e-5 angstrom in float32 and 1e-14 in float64, which
for bonds of 50 eV/angstrom^2 is 5e-4 and 5e-13 eV/angstrom. What float16 computes is off by some per cent."""


def invariance(
    potential: Potential, frames: Structures, *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> CheckResult:
    """Translate, rotate, permute, wrap, batch the structures and invert the handedness of their cells.

    It passes if energies, forces and stresses do not change.

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
    volume = volume_of_an_atom(structures)
    metrics = [
        Metric(name, deviation(*transformation(model, structures), volume), "of the RMS force", INVARIANT[dtype])
        for name, transformation in TRANSFORMATIONS.items()
    ]
    largest = max(metrics, key=lambda m: m.value)
    return judged(
        "invariance",
        metrics,
        (),
        "results do not depend on origin, orientation, order, images, handedness of the cell or batch "
        f"({largest.value:.1e} in {largest.name})",
        "results depend on what should not matter",
    )


def deviation(found: Prediction, expected: Prediction, volume: float) -> float:
    """Return the largest deviation of any atom's energy, force component or virial over the RMS force.

    Energies and virials (stress times ``volume``, that of an atom in angstrom^3) are divided by the work of the RMS
    force along 1 angstrom. NaN if a result is not finite.
    """
    assert found.forces is not None
    assert expected.forces is not None
    assert found.stress is not None
    assert expected.stress is not None
    size = expected.forces.double().square().mean().sqrt().clamp(min=SMALLEST_FORCE)
    defined = ~(expected.stress.isnan() & found.stress.isnan())
    changes = (
        found.forces - expected.forces,
        found.atomic_energies - expected.atomic_energies,
        volume * (found.stress - expected.stress)[defined],
    )
    return float(torch.cat([c.double().flatten() for c in changes]).abs().amax() / size)


def volume_of_an_atom(frames: Sequence[Frame]) -> float:
    """Return the mean volume of an atom in cubic angstrom, 0 where no structure has a volume."""
    return sum(f.volume for f in frames) / sum(map(len, frames))

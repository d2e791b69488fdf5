"""How far are predictions from the labels?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keel.atoms.frame import Frame
from keel.comparison.samples import Sample
from keel.evaluation.check import CheckResult, Metric
from keel.identity import of_geometry
from keel.potentials.accuracy import MILLI, Accuracy, accuracy
from keel.potentials.base import Potential

FORCES, ENERGY = "MAE of forces", "MAE of energy"
"""Names of metrics, and of the samples behind them."""


def errors(potential: Potential, frames: Sequence[Frame]) -> CheckResult:
    """Measure mean absolute and root mean square errors of energy per atom, force and stress components.

    Nothing is judged: what is small enough depends on what the potential is for. Skipped where there are no labels.
    Samples are the mean absolute errors of each frame, of forces and of the energy.

    Raises
    ------
    DataError
        If the potential does not know the elements.
    """
    labelled = [f for f in frames if f.energy is not None or f.forces is not None]
    if not labelled:
        return CheckResult("accuracy", (), (), "skipped", "the structures have no labels to compare with")
    found = accuracy(potential, labelled)
    quantities = (
        (ENERGY, "meV/atom", found.energy),
        (FORCES, "meV/angstrom", found.forces),
        ("MAE of stress", "meV/angstrom^3", found.stress),
    )
    known = [q for q in quantities if q[2].reference.size]
    metrics = [Metric(name, MILLI * parity.mae, unit) for name, unit, parity in known]
    metrics += [Metric(name.replace("MAE", "RMSE"), MILLI * parity.rmse, unit) for name, unit, parity in known]
    told = ", ".join(f"{metric.value:.3g} {metric.unit}" for metric in metrics[: len(known)])
    verdict = f"mean absolute errors of {len(labelled)} frames: {told}"
    samples = (*_forces(found, labelled), *_energies(found, labelled))
    return CheckResult("accuracy", tuple(metrics), (), "noted", verdict, samples=samples)


def _forces(found: Accuracy, frames: Sequence[Frame]) -> list[Sample]:
    """Return the error of each frame; its weight is its number of atoms, so that the mean is that of all atoms."""
    known = [f for f in frames if f.forces is not None]
    if not known:
        return []
    sizes = np.array([len(f) for f in known])
    of_atoms = np.abs(found.forces.prediction - found.forces.reference).mean(axis=1)
    sums = np.add.reduceat(of_atoms, np.cumsum(sizes) - sizes)
    digests = tuple(map(of_geometry, known))
    return [Sample(FORCES, "meV/angstrom", MILLI * sums / sizes, digests, weights=sizes.astype(np.float64))]


def _energies(found: Accuracy, frames: Sequence[Frame]) -> list[Sample]:
    known = [f for f in frames if f.energy is not None]
    if not known:
        return []
    of_frames = np.abs(found.energy.prediction - found.energy.reference)
    return [Sample(ENERGY, "meV/atom", MILLI * of_frames, tuple(map(of_geometry, known)))]

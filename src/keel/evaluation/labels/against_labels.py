"""How far are predictions from the labels, and how far as atoms come close?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keel.atoms.frame import Frame
from keel.atoms.isolated import is_isolated
from keel.atoms.neighbours import labelled_atoms
from keel.comparison.samples import Sample
from keel.evaluation.check import CheckResult, Curve, Metric
from keel.evaluation.labels.by_contact import UNITS, ContactErrors, errors_by_contact
from keel.identity import of_geometry
from keel.potentials.accuracy import MILLI, Accuracy, accuracy
from keel.potentials.base import Potential

FORCES, ENERGY = "MAE of forces", "MAE of energy"
"""Names of metrics, and of the samples behind them."""
FEWEST = 5
"""Frames in a bin of contacts for its errors to be judged."""
SMALLEST = 10.0
"""Mean label in meV/angstrom below which an error of the same size is no fault: DFT itself is not so sure."""


def against_labels(potential: Potential, frames: Sequence[Frame]) -> tuple[CheckResult, CheckResult]:
    """Measure the errors of energies per atom, force and stress components, and divide them by how close atoms are.

    Of the errors themselves nothing is judged: what is small enough depends on what the potential is for. Samples are
    the mean absolute errors of each frame, of forces and of the energy. By contact the judgement is
    :func:`judged_by_contact`. Both are skipped where there are no labels.

    Raises
    ------
    DataError
        If the potential does not know the elements.
    """
    labelled = [f for f in frames if f.energy is not None or f.forces is not None]
    if not labelled:
        why = "the structures have no labels to compare with"
        names = ("accuracy", "errors by contact")
        first, second = (CheckResult(name, (), (), "skipped", why) for name in names)
        return first, second
    found = accuracy(potential, labelled)
    return _errors(found, labelled), judged_by_contact(found, labelled)


def judged_by_contact(found: Accuracy, frames: Sequence[Frame]) -> CheckResult:
    """Judge whether forces are anywhere worse than none: the least that can be asked of a potential at any contact.

    It fails if in one bin of contacts (:mod:`keel.evaluation.labels.by_contact`) of :data:`FEWEST` frames or more the
    mean absolute force error exceeds the mean absolute force by more than chance, the 95 % interval of their
    difference, or is not finite. Bins of smaller forces than :data:`SMALLEST` are not judged. Curves show each error
    in units of its label, so that at 1 nothing is known.
    """
    by_contact = errors_by_contact(found, frames)
    curves = tuple(_relative(name, errors) for name, errors in by_contact.quantities.items())
    metrics = [m for name, errors in by_contact.quantities.items() for m in _metrics(name, errors)]
    forces = by_contact.quantities.get("forces")
    if forces is None:
        return CheckResult("errors by contact", tuple(metrics), curves, "noted", "no forces are labelled")
    judged = (forces.frames >= FEWEST) & ~(forces.label < SMALLEST)
    worse = judged & ((forces.excess_low > 0) | ~np.isfinite(forces.error))
    if not judged.any():
        verdict = f"no bin of contacts has {FEWEST} frames with forces to judge by"
        return CheckResult("errors by contact", tuple(metrics), curves, "noted", verdict)
    first = int(np.flatnonzero(worse if worse.any() else judged)[0])
    told = (
        f"{forces.error[first]:.3g} meV/angstrom where the mean force is {forces.label[first]:.3g}, contacts "
        f"{forces.names[first]} bonds in {forces.frames[first]:.0f} frames"
    )
    if worse.any():
        return CheckResult("errors by contact", tuple(metrics), curves, "failed", f"forces are worse than none: {told}")
    verdict = f"forces are nowhere clearly worse than none; at the closest, {told}"
    return CheckResult("errors by contact", tuple(metrics), curves, "passed", verdict)


def _metrics(name: str, errors: ContactErrors) -> list[Metric]:
    """Return the error of each bin beside the mean label."""
    metrics = []
    for bin_name, row in zip(errors.names, errors.rows, strict=True):
        if row["values"]:
            metrics.append(Metric(f"MAE of {name}, {bin_name} bonds", row["error"], UNITS[name]))
            metrics.append(Metric(f"mean {name} label, {bin_name} bonds", row["label"], UNITS[name]))
    return metrics


def _relative(name: str, errors: ContactErrors) -> Curve:
    """Return error / mean label against the median contact of each bin."""
    there = (errors.values > 0) & (errors.label > 0)
    place = np.where(np.isfinite(errors.contact), errors.contact, errors.lower)[there]
    label = errors.label[there]
    return Curve(
        name,
        place,
        errors.error[there] / label,
        "closest contact (sum of covalent radii)",
        "mean error / mean label",
        errors.low[there] / label,
        np.where(np.isfinite(errors.high), errors.high, np.nan)[there] / label,
    )


def _errors(found: Accuracy, labelled: Sequence[Frame]) -> CheckResult:
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
    members = [f for f in labelled if not is_isolated(f)]
    samples = (*_forces(found, members), *_energies(found, members))
    return CheckResult("accuracy", tuple(metrics), (), "noted", verdict, samples=samples)


def _forces(found: Accuracy, frames: Sequence[Frame]) -> list[Sample]:
    """Return the error of each frame; its weight is its number of labelled atoms, so that the mean is that of all."""
    sizes = [int(labelled_atoms(f).sum()) for f in frames]
    known = [f for f, size in zip(frames, sizes, strict=True) if size]
    if not known:
        return []
    counts = np.array([size for size in sizes if size])
    of_atoms = np.abs(found.forces.prediction - found.forces.reference).mean(axis=1)
    sums = np.add.reduceat(of_atoms, np.cumsum(counts) - counts)
    digests = tuple(map(of_geometry, known))
    return [Sample(FORCES, "meV/angstrom", MILLI * sums / counts, digests, weights=counts.astype(np.float64))]


def _energies(found: Accuracy, frames: Sequence[Frame]) -> list[Sample]:
    known = [f for f in frames if f.energy is not None]
    if not known:
        return []
    of_frames = np.abs(found.energy.prediction - found.energy.reference)
    return [Sample(ENERGY, "meV/atom", MILLI * of_frames, tuple(map(of_geometry, known)))]

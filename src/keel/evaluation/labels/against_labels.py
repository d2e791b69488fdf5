"""How far are predictions from the labels, and how far as atoms come close?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Frame
from keel.atoms.isolated import is_isolated
from keel.atoms.neighbours import labelled_atoms
from keel.comparison.samples import Sample
from keel.evaluation.check import CheckResult, Curve, Metric, Outcome
from keel.evaluation.labels.by_contact import UNITS, ContactErrors, errors_by_contact
from keel.evaluation.labels.skill import WORTH, left
from keel.identity import of_geometry
from keel.potentials.accuracy import MILLI, Accuracy, accuracy
from keel.potentials.base import Potential
from keel.potentials.external.opening import Given, open_potential

FORCES, ENERGY = "MAE of forces", "MAE of energy"
"""Names of metrics, and of the samples behind them."""
LEFT = "left of forces as errors"
"""Name of the metric that shows whether anything was learnt."""
FEWEST = 5
"""Frames in a bin of contacts for its errors to be judged."""
SMALLEST = 10.0
"""Mean label in meV/angstrom below which an error of the same size is not a fault: DFT itself is no more precise."""


def evaluate(
    potential: Given, frames: Structures, *, max_atoms: int | None = None, device: torch.device | str | None = None
) -> Accuracy:
    """Compare a potential with the labels of some frames: energy per atom, forces and stress, also by element.

    Parameters
    ----------
    potential
        A potential, or what has or names one (:func:`keel.open_potential`).
    frames
        Labelled frames, ``ase.Atoms`` or files (:func:`keel.atoms.as_frames`); a file is read as a stream.
    max_atoms, device
        See :func:`keel.evaluation.accuracy`.

    Raises
    ------
    DataError
        If there is no frame, no label at all, or an element that the potential does not know.

    Examples
    --------
    >>> import keel
    >>> frames = keel.datasets.phosphorus()[::40]
    >>> round(keel.evaluate(keel.fit_eam(frames[:4]), frames).forces.mae, 1)
    0.3
    """
    return accuracy(open_potential(potential), frames, max_atoms=max_atoms, device=device)


def errors(potential: Potential, frames: Structures) -> CheckResult:
    """Measure mean absolute and root mean square errors of energy per atom, force and stress components.

    It fails only where forces are no better than predicting zero (:mod:`keel.evaluation.labels.skill`), as with random
    weights; which errors are small enough depends on the use of the potential. Skipped where there are no labels.
    Samples are the mean absolute errors of each frame, of forces and of the energy.

    Raises
    ------
    DataError
        If the potential does not know the elements.
    """
    frames = as_frames(frames)
    labelled = _labelled(frames)
    return _errors(accuracy(potential, labelled), labelled) if labelled else _without_labels("accuracy")


def contact_errors(potential: Potential, frames: Structures) -> CheckResult:
    """Divide the errors by how close atoms are, and judge whether forces are anywhere worse than predicting zero.

    That is the least to be expected of a potential at any contact. It fails if in one bin of contacts
    (:mod:`keel.evaluation.labels.by_contact`) of :data:`FEWEST` frames or more the mean absolute force error exceeds
    the mean absolute force by more than chance, the 95 % interval of their difference, or is not finite. Bins of
    smaller forces than :data:`SMALLEST` are not judged. Curves show each error in units of its label, so that at 1
    nothing is known. Skipped where there are no labels.

    Raises
    ------
    DataError
        If the potential does not know the elements.
    """
    frames = as_frames(frames)
    labelled = _labelled(frames)
    if not labelled:
        return _without_labels("errors by contact")
    by_contact = errors_by_contact(accuracy(potential, labelled), labelled)
    curves = tuple(_relative(name, bins) for name, bins in by_contact.quantities.items())
    metrics = [m for name, bins in by_contact.quantities.items() for m in _metrics(name, bins)]
    outcome, verdict = _judged(by_contact.quantities.get("forces"))
    return CheckResult("errors by contact", tuple(metrics), curves, outcome, verdict)


def _labelled(frames: Sequence[Frame]) -> list[Frame]:
    return [f for f in frames if f.energy is not None or f.forces is not None]


def _without_labels(name: str) -> CheckResult:
    return CheckResult(name, (), (), "skipped", "the structures have no labels to compare with")


def _judged(forces: ContactErrors | None) -> tuple[Outcome, str]:
    """Return outcome and verdict, which names the closest bin that decides."""
    if forces is None:
        return "noted", "no forces are labelled"
    judged = (forces.frames >= FEWEST) & ~(forces.label < SMALLEST)
    worse = judged & ((forces.excess_low > 0) | ~np.isfinite(forces.error))
    if not judged.any():
        return "noted", f"no bin of contacts has {FEWEST} frames with forces to judge by"
    k = int(np.flatnonzero(worse if worse.any() else judged)[0])
    numbers = f"{forces.error[k]:.3g} meV/angstrom where the mean force is {forces.label[k]:.3g}"
    numbers = f"{numbers}, contacts {forces.names[k]} bonds in {forces.frames[k]:.0f} frames"
    if worse.any():
        return "failed", f"forces are worse than predicting zero: {numbers}"
    return "passed", f"forces are nowhere clearly worse than predicting zero; at the closest, {numbers}"


def _metrics(name: str, bins: ContactErrors) -> list[Metric]:
    """Return the error of each bin beside the mean label."""
    metrics = []
    for bin_name, row in zip(bins.names, bins.rows, strict=True):
        if row["values"]:
            metrics.append(Metric(f"MAE of {name}, {bin_name} bonds", row["error"], UNITS[name]))
            metrics.append(Metric(f"mean {name} label, {bin_name} bonds", row["label"], UNITS[name]))
    return metrics


def _relative(name: str, bins: ContactErrors) -> Curve:
    """Return error / mean label against the median contact of each bin."""
    there = (bins.values > 0) & (bins.label > 0)
    place = np.where(np.isfinite(bins.contact), bins.contact, bins.lower)[there]
    label = bins.label[there]
    return Curve(
        name,
        place,
        bins.error[there] / label,
        "closest contact (sum of covalent radii)",
        "mean error / mean label",
        bins.low[there] / label,
        np.where(np.isfinite(bins.high), bins.high, np.nan)[there] / label,
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
    numbers = ", ".join(f"{metric.value:.3g} {metric.unit}" for metric in metrics[: len(known)])
    verdict = f"mean absolute errors of {len(labelled)} frames: {numbers}"
    members = [f for f in labelled if not is_isolated(f)]
    samples = (*_forces(found, members), *_energies(found, members))
    nothing = [m for m in _left(found) if not m.passed]
    if nothing:
        verdict = (
            f"forces are no better than predicting zero ({nothing[0].value:.3g} of the forces remains as error); "
            f"{verdict}"
        )
    outcome: Outcome = "failed" if nothing else "noted"
    return CheckResult("accuracy", (*metrics, *_left(found)), (), outcome, verdict, samples=samples)


def _left(found: Accuracy) -> list[Metric]:
    """Return whether forces are better than predicting zero, if they are large enough to judge."""
    labels = found.forces.reference
    if not labels.size or MILLI * float(np.abs(labels).mean()) < SMALLEST:
        return []
    return [Metric(LEFT, left(found.forces.prediction - labels, labels), "", WORTH)]


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

"""How far are predictions from the labels?"""

from __future__ import annotations

from collections.abc import Sequence

from keel.atoms.frame import Frame
from keel.evaluation.check import CheckResult, Metric
from keel.potentials.accuracy import MILLI, accuracy
from keel.potentials.base import Potential


def errors(potential: Potential, frames: Sequence[Frame]) -> CheckResult:
    """Measure mean absolute and root mean square errors of energy per atom, force and stress components.

    Nothing is judged: what is small enough depends on what the potential is for. Skipped where there are no labels.

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
        ("energy", "meV/atom", found.energy),
        ("forces", "meV/angstrom", found.forces),
        ("stress", "meV/angstrom^3", found.stress),
    )
    known = [q for q in quantities if q[2].reference.size]
    metrics = [Metric(f"MAE of {name}", MILLI * parity.mae, unit) for name, unit, parity in known]
    metrics += [Metric(f"RMSE of {name}", MILLI * parity.rmse, unit) for name, unit, parity in known]
    told = ", ".join(f"{metric.value:.3g} {metric.unit}" for metric in metrics[: len(known)])
    return CheckResult(
        "accuracy", tuple(metrics), (), "noted", f"mean absolute errors of {len(labelled)} frames: {told}"
    )

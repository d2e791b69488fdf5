"""Errors by how close atoms are, in tables of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from keel.evaluation.labels.by_contact import UNITS, ContactErrors
from keel.reporting.run.tables import Table
from keel.reporting.strategies import number
from keel.results.run import TrialResults, by_strategy
from keel.wording import typeset

NAMES = {"forces": "Force", "pressure": "Pressure", "energy": "Energy"}
TEACHER = "teacher"
Divided = Mapping[str, ContactErrors]


def contact_table(trials: Sequence[TrialResults], teacher: Divided) -> Table | None:
    """Mean error of each quantity and bin by strategy, beside the mean label; None without errors by contact."""
    groups = {s: [t.by_contact for t in members if t.by_contact] for s, members in by_strategy(trials).items()}
    groups = {strategy: members for strategy, members in groups.items() if members}
    if not groups:
        return None
    groups |= {TEACHER: [teacher]} if teacher else {}
    first = next(iter(groups.values()))[0]
    rows = tuple(
        (
            f"{NAMES[name]} ({typeset(UNITS[name])}), {bin_name}",
            f"{errors.frames[k]:.0f}",
            number(float(errors.label[k])),
            *(_cell([d[name] for d in members if name in d], k) for members in groups.values()),
        )
        for name, errors in first.items()
        for k, bin_name in enumerate(errors.names)
        if errors.values[k]
    )
    caption = (
        "Mean absolute errors by closest contact (mean over seeds; in brackets the 95 % interval, of several seeds "
        "from the lowest end to the highest)"
    )
    return Table(caption, ("contact (sum of covalent radii)", "frames", "mean label", *groups), rows)


def _cell(found: Sequence[ContactErrors], k: int) -> str:
    """Return ``81.2 [74, 90]``: the mean over seeds, and the lowest and highest end of their intervals."""
    if not found or not found[0].values[k]:
        return "–"
    mean = number(float(np.mean([e.error[k] for e in found])))
    low, high = min(float(e.low[k]) for e in found), max(float(e.high[k]) for e in found)
    return f"{mean} [{number(low)}, {number(high)}]" if np.isfinite(high) else mean

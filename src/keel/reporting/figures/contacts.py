"""Errors as atoms come close, beside the size of what is to be predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keel.atoms.frame import Array
from keel.evaluation.labels.by_contact import EDGES, UNITS, ContactErrors
from keel.reporting.figures.axes import plain_log_ticks
from keel.reporting.figures.style import INK, QUIET, ReportFigure, joined, new_figure, slug, styled
from keel.results.run import Trials, by_strategy
from keel.training.known import look_of
from keel.wording import typeset

WORDS = {"forces": "force", "pressure": "pressure", "energy": "energy"}


@styled
def contact_figure(network: str, quantity: str, trials: Trials, teacher: Mapping[str, ContactErrors]) -> ReportFigure:
    """Mean error against the closest contact: every strategy, the mean over seeds, and the teacher."""
    figure, axes = new_figure(height=2.9)
    drawn: dict[str, list[ContactErrors]] = {
        strategy: [t.by_contact[quantity] for t in members if quantity in t.by_contact]
        for strategy, members in by_strategy(trials).items()
    }
    drawn |= {"teacher": [teacher[quantity]] if quantity in teacher else []}
    drawn = {name: found for name, found in drawn.items() if found}
    first = next(iter(drawn.values()))[0]
    there = first.values > 0
    x = np.where(np.isfinite(first.contact), first.contact, first.lower)[there]
    axes.plot(x, first.label[there], color=INK, linewidth=3, alpha=0.4, label="predicting zero")
    parts: list[tuple[Any, ...]] = [("predicting zero", x, first.frames[there], first.label[there], *_unknown(x))]
    for name, found in drawn.items():
        error, low, high = _over_seeds(found, there)
        style: dict[str, Any] = {"color": QUIET, "marker": "x"}
        if name != "teacher":
            style = {"color": look_of(name).colour, "linestyle": look_of(name).line, "marker": look_of(name).marker}
        ends = np.stack([error - low, high - error])
        axes.errorbar(x, error, yerr=ends, markersize=4, elinewidth=0.8, capsize=2, label=name, **style)
        parts.append((name, x, first.frames[there], error, low, high))
    axes.set(xlabel="closest contact (sum of covalent radii)", yscale="log", xlim=(EDGES[0] - 0.05, EDGES[-1] + 0.05))
    axes.set_xticks(EDGES)
    axes.set_ylabel(f"{WORDS[quantity]} error ({typeset(UNITS[quantity])})")
    plain_log_ticks(axes)
    figure.legend(loc="outside lower center", ncols=2)
    return ReportFigure(
        name=slug("contact", network, quantity),
        title=f"{WORDS[quantity].capitalize()} error by contact",
        caption="Points are at the median contact of each bin, whose limits are marked on the axis; bars span the 95 % "
        "intervals of all seeds, where known.",
        alt=f"Mean {WORDS[quantity]} error of {network} against the closest contact: {', '.join(drawn)}.",
        figure=figure,
        data=joined(("curve", "contact", "frames", "error", "low", "high"), parts),
    )


def _over_seeds(found: Sequence[ContactErrors], there: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """Return the mean error of the bins that are there, and the ends of its intervals, NaN where they are open."""
    error = np.mean([e.error[there] for e in found], axis=0)
    low, high = np.min([e.low[there] for e in found], axis=0), np.max([e.high[there] for e in found], axis=0)
    known = np.isfinite(high)
    return error, np.where(known, low, np.nan), np.where(known, high, np.nan)


def _unknown(x: Array) -> tuple[Array, Array]:
    return np.full(len(x), np.nan), np.full(len(x), np.nan)

"""How long the runs lived, and why they failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from keel.dynamics.survival import Survival
from keel.reporting.figures.axes import plain_log_ticks
from keel.reporting.figures.style import ReportFigure, new_figure, slug, styled
from keel.reporting.strategies import StrategyResult, median_text
from keel.training.known import SPARE, look_of

SHORTEST_FS = 1.0
"""Where failures at the first step are drawn, on a logarithmic axis."""
SURVIVED = "survived"
# Cause -> colour and words.
CAUSES = {
    SURVIVED: ("#c9d1d9", "survived"),
    "fused atoms": ("#D55E00", "atoms fused"),
    "temperature": ("#E69F00", "temperature ran away"),
    "force": ("#CC79A7", "force above the cap"),
    "non-finite": ("#56B4E9", "numbers not finite"),
    "atoms lost": ("#009E73", "atoms escaped"),
    "rdf": ("#F0E442", "structure lost (RDF)"),
}


@styled
def survival_figure(strategies: Sequence[StrategyResult]) -> ReportFigure:
    """Kaplan-Meier curve of every strategy, pooled over seeds, with 95 % confidence bands."""
    figure, axes = new_figure(height=2.8)
    data: dict[str, list[object]] = {name: [] for name in ("strategy", "time_fs", "survival", "lower", "upper")}
    for result in strategies:
        curve, colour, name = result.survival, look_of(result.strategy).colour, result.strategy
        label = f"{name} ({result.failures} of {result.runs} failed)"
        axes.fill_between(curve.times, curve.lower, curve.upper, step="post", color=colour, alpha=0.15, linewidth=0)
        axes.step(curve.times, curve.survival, where="post", color=colour, linestyle=look_of(name).line, label=label)
        censored = result.times[~result.failed]
        axes.plot(censored, [curve.at(time) for time in censored], "|", color=colour, markersize=7)
        _append_curve(data, name, curve)
    axes.axhline(0.5, color="#8b949e", linewidth=0.7, linestyle=":")
    axes.set(xlabel="time (fs)", ylabel="share of surviving runs", ylim=(-0.03, 1.05))
    axes.set_xlim(left=0)
    axes.set_title(conditions_title(strategies))
    figure.legend(loc="outside lower center", ncols=1)
    medians = "; ".join(f"{s.strategy}: median {median_text(s)}" for s in strategies)
    return ReportFigure(
        name=slug("survival", strategies[0].network),
        title="Survival in molecular dynamics",
        caption="Share of runs that had not yet failed (Kaplan-Meier, all seeds pooled). Bands are 95 % confidence "
        "intervals, ticks mark runs that reached their end unharmed, the dotted line is one half.",
        alt=f"Survival curves of {strategies[0].network}. {medians}.",
        figure=figure,
        data=data,
    )


def _append_curve(data: dict[str, list[object]], name: str, curve: Survival) -> None:
    data["strategy"] += [name] * len(curve.times)
    for column, values in zip(list(data)[1:], (curve.times, curve.survival, curve.lower, curve.upper), strict=True):
        data[column] += values.tolist()


def conditions_title(strategies: Sequence[StrategyResult]) -> str:
    """Return ``CGCNN at 3000 K, 8 runs each``."""
    temperatures = sorted({t for s in strategies for t in s.values("md_temperature_k")})
    runs = sorted({s.runs for s in strategies})
    at = " and ".join(f"{t:g} K" for t in temperatures)
    return f"{strategies[0].network} at {at}, {' to '.join(map(str, runs))} runs{' each' if len(runs) == 1 else ''}"


@styled
def causes_figure(strategies: Sequence[StrategyResult]) -> ReportFigure:
    """How the runs of each strategy ended, as shares in one bar."""
    counts = [Counter(cause or SURVIVED for cause in result.causes) for result in strategies]
    rows = range(len(strategies))
    seen = {cause for count in counts for cause in count}
    causes = [c for c in CAUSES if c in seen] + sorted(seen - set(CAUSES))
    figure, axes = new_figure(height=1.5 + 0.33 * len(strategies))
    left = np.zeros(len(strategies))
    for number, cause in enumerate(causes):
        share = np.array([100 * count[cause] / count.total() for count in counts])
        colour, words = CAUSES.get(cause, (SPARE[number % len(SPARE)], cause))
        bars = axes.barh(rows, share, left=left, color=colour, label=words, height=0.62)
        numbers = [str(count[cause]) if count[cause] else "" for count in counts]
        axes.bar_label(bars, labels=numbers, label_type="center", fontsize=7.5, color="black")
        left += share
    axes.set_yticks(rows, [s.strategy for s in strategies])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="share of runs (%), with their number", xlim=(0, 100))
    figure.legend(loc="outside lower center", ncols=2)
    return ReportFigure(
        name=slug("causes", strategies[0].network),
        title="How the runs ended",
        caption="A run ends at its first failure. Fused: two atoms closer than half the sum of their covalent radii.",
        alt=f"Causes of failure. {'; '.join(map(_in_words, strategies, counts))}.",
        figure=figure,
        data={
            "strategy": [s.strategy for s in strategies for _ in causes],
            "cause": [c for _ in strategies for c in causes],
            "runs": [count[c] for count in counts for c in causes],
        },
    )


def _in_words(result: StrategyResult, count: Counter[str]) -> str:
    return f"{result.strategy}: " + ", ".join(f"{n} {CAUSES.get(c, ('', c))[1]}" for c, n in count.most_common())


@styled
def trade_off_figure(strategies: Sequence[StrategyResult]) -> ReportFigure:
    """Median time to failure against force error: one point for each seed, a ring for all seeds together."""
    figure, axes = new_figure(height=2.8)
    columns = ("strategy", "seed", "force_mae_mev_per_angstrom", "median_fs", "censored")
    rows: list[tuple[object, ...]] = []
    for result in strategies:
        name, colour = result.strategy, look_of(result.strategy).colour
        style: dict[str, Any] = {"marker": look_of(name).marker, "color": colour, "linestyle": "none"}
        for part in (*result.seeds(), result):
            force, pooled, censored = part.mean("force_mae_mev_per_angstrom"), part is result, part.median_fs is None
            if force is None or not part.runs:
                continue
            time = part.length_fs if part.median_fs is None else part.median_fs
            rows.append((name, "all" if pooled else part.records[0].seed, force, time, censored))
            time = max(time, SHORTEST_FS)
            if not pooled:
                axes.plot(force, time, markersize=4.5, **style)
                continue
            axes.plot(force, time, markersize=11, markerfacecolor="none", label=name, **style)
            if censored:
                arrow = {"arrowstyle": "<|-", "color": colour, "linewidth": 1.5, "shrinkB": 7}
                axes.annotate("", (force, time), (0, 26), textcoords="offset points", arrowprops=arrow)
    axes.set(xlabel="force MAE (meV/Å)", ylabel="median time to failure (fs)", yscale="log")
    axes.set_title("accurate: left, stable: up")
    axes.margins(0.12, 0.3)
    plain_log_ticks(axes)
    figure.legend(loc="outside lower center", ncols=3)
    medians = "; ".join(f"{s.strategy}: {median_text(s)}" for s in strategies)
    return ReportFigure(
        name=slug("accuracy-stability", strategies[0].network),
        title="Accuracy against stability",
        caption="Large open markers: all seeds; small markers: single seeds. An arrow means “longer than this”: fewer "
        "than half of the runs failed.",
        alt=f"Median time to failure against force error. {medians}.",
        figure=figure,
        data={name: [row[k] for row in rows] for k, name in enumerate(columns)},
    )

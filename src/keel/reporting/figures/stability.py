"""How long the runs lived, and of what they died."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from keel.reporting.comparison import StrategyResult, median_text
from keel.reporting.figures.style import DASHES, MARKERS, ReportFigure, colour_of, new_figure, slug, styled

SURVIVED = "survived"
CAUSE_COLOURS = {
    SURVIVED: "#c9d1d9",
    "fused atoms": "#D55E00",
    "temperature": "#E69F00",
    "force": "#CC79A7",
    "non-finite": "#0072B2",
    "atoms lost": "#56B4E9",
    "rdf": "#009E73",
}
CAUSE_LABELS = {
    "fused atoms": "atoms fused",
    "temperature": "temperature ran away",
    "force": "force above the cap",
    "non-finite": "numbers not finite",
    "atoms lost": "atoms flew off",
    "rdf": "structure lost (RDF)",
}


@styled
def survival_figure(strategies: Sequence[StrategyResult]) -> ReportFigure:
    """Kaplan-Meier curve of every strategy, pooled over seeds, with 95 % confidence bands."""
    figure, axes = new_figure(height=2.8)
    data: dict[str, list[object]] = {name: [] for name in ("strategy", "time_fs", "survival", "lower", "upper")}
    for result in strategies:
        curve, colour = result.survival, colour_of(result.strategy)
        end = max(result.length_fs, float(curve.times[-1]))
        times, share, lower, upper = (
            np.append(values, last)
            for values, last in (
                (curve.times, end),
                (curve.survival, curve.survival[-1]),
                (curve.lower, curve.lower[-1]),
                (curve.upper, curve.upper[-1]),
            )
        )
        label = f"{result.strategy} ({result.failures} of {result.runs} failed)"
        axes.fill_between(times, lower, upper, step="post", color=colour, alpha=0.15, linewidth=0)
        axes.step(times, share, where="post", color=colour, linestyle=DASHES.get(result.strategy, "-"), label=label)
        censored = result.times[~result.failed]
        alive = curve.survival[np.searchsorted(curve.times, censored, side="right") - 1]
        axes.plot(censored, alive, "|", color=colour, markersize=7)
        for column, values in zip(data, ([result.strategy] * len(times), times, share, lower, upper), strict=True):
            data[column].extend(values)
    axes.axhline(0.5, color="#8b949e", linewidth=0.7, linestyle=":")
    axes.set(xlabel="time (fs)", ylabel="share of runs still sound", ylim=(-0.03, 1.05))
    axes.set_xlim(left=0)
    axes.set_title(conditions_title(strategies))
    figure.legend(loc="outside lower center", ncols=1)
    medians = "; ".join(f"{s.strategy}: median {median_text(s)}" for s in strategies)
    return ReportFigure(
        name=slug("survival", strategies[0].network),
        title="Survival in molecular dynamics",
        caption="Share of runs that had not failed yet (Kaplan-Meier, all seeds pooled). Bands are 95 % confidence "
        "intervals, ticks mark runs that reached their end unharmed, the dotted line is one half.",
        alt=f"Survival curves of {strategies[0].network}. {medians}.",
        figure=figure,
        data=data,
    )


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
    seen = {cause for count in counts for cause in count}
    causes = [c for c in CAUSE_COLOURS if c in seen] + sorted(seen - set(CAUSE_COLOURS))
    figure, axes = new_figure(height=1.5 + 0.33 * len(strategies))
    left = np.zeros(len(strategies))
    spare = ("#8C6D31", "#6A3D9A", "#B15928", "#666666")
    for number, cause in enumerate(causes):
        share = np.array([count[cause] / result.runs for count, result in zip(counts, strategies, strict=True)])
        colour = CAUSE_COLOURS.get(cause, spare[number % len(spare)])
        bars = axes.barh(
            range(len(strategies)),
            100 * share,
            left=left,
            color=colour,
            label=CAUSE_LABELS.get(cause, cause),
            height=0.62,
        )
        labels = [str(count[cause]) if count[cause] else "" for count in counts]
        for text in axes.bar_label(bars, labels=labels, label_type="center", fontsize=7.5):
            text.set_color("#000000" if cause != "non-finite" else "#ffffff")
        left += 100 * share
    axes.set_yticks(range(len(strategies)), [s.strategy for s in strategies])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="share of runs (%), with their number", xlim=(0, 100))
    figure.legend(loc="outside lower center", ncols=2)
    spoken = "; ".join(
        f"{s.strategy}: {', '.join(f'{n} {CAUSE_LABELS.get(c, c)}' for c, n in count.most_common())}"
        for s, count in zip(strategies, counts, strict=True)
    )
    return ReportFigure(
        name=slug("causes", strategies[0].network),
        title="How the runs ended",
        caption="A run ends at its first failure. Fused: two atoms closer than half the sum of their covalent radii.",
        alt=f"Causes of failure. {spoken}.",
        figure=figure,
        data={
            "strategy": [s.strategy for s in strategies for _ in causes],
            "cause": [c for _ in strategies for c in causes],
            "runs": [count[c] for count in counts for c in causes],
        },
    )


@styled
def trade_off_figure(strategies: Sequence[StrategyResult]) -> ReportFigure:
    """Median time to failure against force error: one point for each seed, a ring for all seeds together."""
    figure, axes = new_figure(height=2.8)
    data: dict[str, list[object]] = {
        n: [] for n in ("strategy", "seed", "force_mae_mev_per_angstrom", "median_fs", "censored")
    }
    for result in strategies:
        colour, marker = colour_of(result.strategy), MARKERS.get(result.strategy, "o")
        seeds = [StrategyResult(result.network, result.strategy, (record,)) for record in result.records]
        for part in (*seeds, result):
            force, median = part.mean("force_mae_mev_per_angstrom"), part.median_fs
            if force is None or not part.runs:
                continue
            time, pooled = median if median is not None else part.length_fs, part is result
            axes.plot(
                force, time, marker, color=colour, markersize=11 if pooled else 4.5, markerfacecolor="none" if pooled else colour,
                markeredgewidth=1.5, linestyle="none", label=result.strategy if pooled else None,
            )  # fmt: skip
            if median is None and pooled:
                arrow = {"arrowstyle": "<|-", "color": colour, "linewidth": 1.5, "shrinkB": 7}
                axes.annotate("", (force, time), (0, 26), textcoords="offset points", arrowprops=arrow)
            row = (result.strategy, "all" if pooled else part.records[0].seed, force, time, median is None)
            for column, value in zip(data, row, strict=True):
                data[column].append(value)
    axes.set(xlabel="force MAE (meV/Å)", ylabel="median time to failure (fs)", yscale="log")
    axes.set_title("accurate: left, stable: up")
    axes.margins(0.12, 0.3)
    plain_log_ticks(axes)
    figure.legend(loc="outside lower center", ncols=3)
    return ReportFigure(
        name=slug("accuracy-stability", strategies[0].network),
        title="Accuracy against stability",
        caption="Large open markers: all seeds; small ones: single seeds. An arrow means “longer than this”: fewer "
        "than half of the runs failed.",
        alt="Median time to failure against force error. "
        + "; ".join(f"{s.strategy}: {median_text(s)}" for s in strategies if s.runs) + ".",
        figure=figure,
        data=data,
    )  # fmt: skip


def plain_log_ticks(axes: object) -> None:
    """Write the ticks of a logarithmic y axis as plain numbers."""
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    yaxis = axes.yaxis  # type: ignore[attr-defined]
    yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    yaxis.set_minor_formatter("")

"""Results of molecular dynamics: how long runs lived, and the structures in them."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from keel.dynamics.survival import Survival, kaplan_meier
from keel.reporting.figures import ReportFigure
from keel.reporting.figures.style import INK, QUIET, slug, styled
from keel.reporting.study.columns import Columns
from keel.reporting.study.panels import absent, drawn_range, grid, legend_below, line_of, shown_of
from keel.training.known import look_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_DRAWN = 6
"""Pairs of elements in one figure; the tables have more."""
FLOOR = (
    "The floor is the difference between the earlier and the later half of the DFT frames: smaller differences are "
    "not significant."
)


@styled
def survival_row(system: str, lifetimes: Columns) -> ReportFigure:
    """Share of runs of each network that have not failed yet, of all seeds together and between the seeds."""
    networks = lifetimes.different("network")
    figure, panels = grid(1, len(networks), 1.9, sharey=True)
    for network, axes in zip(networks, panels[0], strict=True):
        _survival(axes, lifetimes.where(network=network))
        axes.set(title=f"{network}{_temperatures(lifetimes.where(network=network))}", xlabel="time (fs)")
    panels[0, 0].set_ylabel("share of surviving runs")
    legend_below(figure, panels.ravel())
    return ReportFigure(
        name=slug("survival", system),
        title=f"Survival in molecular dynamics, {system}",
        caption="Share of runs that have not yet failed (Kaplan-Meier, all seeds pooled). Bands span the lowest to the "
        "highest seed, ticks are runs that reached their end unharmed; the median is where a curve crosses the dotted "
        "line. Curves of strategies without failed runs coincide: they are named above it.",
        alt=f"Survival curves of {system} with {', '.join(networks)}.",
        figure=figure,
        data={},
    )


def _survival(axes: Axes, lifetimes: Columns) -> None:
    if not len(lifetimes):
        absent(axes)
        return
    unharmed = []
    for strategy, runs in lifetimes.groups("strategy").items():
        curve = _survival_of(runs)
        seeds = [_survival_of(single) for single in runs.groups("seed").values()]
        times = np.unique(np.concatenate([seed.times for seed in seeds]))
        shares = np.array([[seed.at(time) for time in times] for seed in seeds])
        colour = look_of(strategy).colour
        axes.fill_between(times, shares.min(0), shares.max(0), step="post", color=colour, alpha=0.14, linewidth=0)
        axes.step(curve.times, curve.survival, where="post", label=strategy, **line_of(strategy))
        censored = np.unique(runs["time_fs"][runs["cause"] == ""])
        axes.plot(censored, [curve.at(time) for time in censored], "|", color=colour, markersize=7)
        if (runs["cause"] == "").all():
            unharmed.append(strategy)
    axes.axhline(0.5, color=QUIET, linewidth=0.7, linestyle=":")
    # Above 1 there is no curve: room for words.
    axes.set(xlim=(0, None), ylim=(-0.03, 1.32), yticks=np.arange(6) / 5)
    if unharmed:
        words = fill(f"no failure: {', '.join(unharmed)}", 34, break_on_hyphens=False)
        axes.text(0.97, 0.98, words, transform=axes.transAxes, ha="right", va="top", fontsize=6.5)


def _survival_of(runs: Columns) -> Survival:
    return kaplan_meier(runs["time_fs"].tolist(), (runs["cause"] != "").tolist())


def _temperatures(lifetimes: Columns) -> str:
    values = sorted(set(lifetimes["temperature_k"][np.isfinite(lifetimes["temperature_k"])].tolist()))
    return f", {' and '.join(f'{t:g}' for t in values)} K" if values else ""


@styled
def rdf_grid(system: str, rdf: Columns, errors: Columns) -> ReportFigure:
    """g(r) of each pair (rows) and network (columns): strategies against DFT, or against each other."""
    pairs, networks = rdf.different("pair")[:MOST_DRAWN], rdf.different("network")
    known = bool(np.isfinite(rdf["reference"]).any())
    figure, panels = grid(len(pairs), len(networks), 1.6, sharex=True, sharey="row")
    for pair, row in zip(pairs, panels, strict=True):
        for network, axes in zip(networks, row, strict=True):
            _rdf(axes, rdf.where(pair=pair, network=network))
            axes.set_title(f"{pair}, {network}")
            _write_floor(axes, errors.where(pair=pair))
        curves = rdf.where(pair=pair)
        row[0].set(ylim=(0, 1.3 * drawn_range([curves["reference"], curves["highest"]])), ylabel="g(r)")
    panels[0, 0].set_xlim(_first_neighbours(rdf), float(rdf["r"].max()))
    for axes in panels[-1]:
        axes.set_xlabel("r (Å)")
    legend_below(figure, panels.ravel())
    return ReportFigure(
        name=slug("rdf", system),
        title=f"Radial distribution functions, {system}",
        caption=_rdf_caption(rdf, errors) + shown_of(rdf, MOST_DRAWN),
        alt=f"g(r) of {', '.join(pairs)} in MD with {', '.join(networks)}{' against DFT' if known else ''}.",
        figure=figure,
        data={},
    )


def _rdf(axes: Axes, rdf: Columns) -> None:
    if not len(rdf):
        absent(axes)
        return
    for number, (strategy, curve) in enumerate(rdf.groups("strategy").items()):
        if number == 0 and np.isfinite(curve["reference"]).any():
            axes.fill_between(curve["r"], curve["reference"], color=INK, alpha=0.22, linewidth=0, label="DFT")
        axes.fill_between(
            curve["r"], curve["lowest"], curve["highest"], color=look_of(strategy).colour, alpha=0.2, linewidth=0
        )
        axes.plot(curve["r"], curve["mean"], label=strategy, linewidth=1, **line_of(strategy))


def _first_neighbours(rdf: Columns) -> float:
    """Return a distance somewhat below which all g(r) vanish."""
    seen = rdf["r"][rdf["highest"] > 0.02 * drawn_range([rdf["highest"]])]
    return max(0.0, float(seen.min()) - 0.5) if seen.size else 0.0


def _write_floor(axes: Axes, errors: Columns) -> None:
    floor = errors["floor_percent"][np.isfinite(errors["floor_percent"])]
    if floor.size:
        axes.text(0.98, 0.97, f"floor {floor[0]:.2g} %", transform=axes.transAxes, ha="right", va="top", size=7.5)


def _rdf_caption(rdf: Columns, errors: Columns) -> str:
    temperatures = sorted(set(rdf["temperature_k"][np.isfinite(rdf["temperature_k"])].tolist()))
    at = f" at {' and '.join(f'{t:g}' for t in temperatures)} K" if temperatures else ""
    seeds = "Curves are means over seeds, bands span the lowest to the highest seed."
    if not np.isfinite(rdf["reference"]).any():
        return (
            f"Molecular dynamics{at} with each strategy. There is no DFT molecular dynamics of this system, so "
            f"strategies are compared with each other, and which of them is right is unknown. {seeds}"
        )
    text = f"Molecular dynamics{at} with each strategy (lines) against the DFT frames (grey). {seeds}"
    return f"{text} {FLOOR}" if np.isfinite(errors["floor_percent"]).any() else text

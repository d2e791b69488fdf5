"""Errors and failures against the number of DFT frames that a network was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keel.reporting.figures import ReportFigure
from keel.reporting.figures.style import slug, styled
from keel.reporting.study.columns import Columns
from keel.reporting.study.panels import absent, grid, legend_below, line_of
from keel.training.known import look_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUANTITIES = {
    "force_mae_mev_per_angstrom": "force MAE (meV/Å)",
    "energy_mae_mev_per_atom": "energy MAE (meV/atom)",
    "failed": "failed runs of MD",
}


@styled
def accuracy_over_frames(system: str, trials: Columns) -> ReportFigure:
    """Force and energy errors and failures (columns) of each network (rows) against the number of training frames."""
    networks = trials.different("network")
    figure, panels = grid(len(networks), len(QUANTITIES), 2.1, sharex=True)
    sizes = sorted(set(trials["train_frames"].tolist()))
    for network, row in zip(networks, panels, strict=True):
        for (name, title), axes in zip(QUANTITIES.items(), row, strict=True):
            _curves(axes, trials.where(network=network), name)
            _frames_axis(axes, sizes)
            axes.set(ylabel=title, title=network)
            axes.margins(x=0.1, y=0.12)
    for axes in panels[-1]:
        axes.set_xlabel("DFT training frames")
    legend_below(figure, panels.ravel())
    return ReportFigure(
        name=slug("frames", system),
        title=f"Accuracy and stability against the number of DFT frames, {system}",
        caption="Errors on the same kind of test frames, and failed runs of molecular dynamics of "
        f"{' or '.join(f'{n:g}' for n in sorted(set(trials['runs'].tolist())))}{_temperatures(trials)}. Points are "
        "means over seeds, bars one standard deviation.",
        alt=f"Errors and failures of {', '.join(networks)} against the number of training frames of {system}.",
        figure=figure,
        data={},
    )


def _temperatures(trials: Columns) -> str:
    """Return at which temperatures the simulations ran, if they did."""
    known = np.isfinite(trials["md_temperature_k"])
    by = {
        t: sorted(set(group["train_frames"].tolist()))
        for t, group in trials.rows(known).groups("md_temperature_k").items()
    }
    return "".join(
        f", at {t:g} K with {' and '.join(f'{n:g}' for n in sizes)} frames" for t, sizes in sorted(by.items())
    )


def _curves(axes: Axes, trials: Columns, name: str) -> None:
    trials = trials.rows(np.isfinite(trials[name]))
    strategies = trials.groups("strategy")
    for number, (strategy, group) in enumerate(strategies.items()):
        points = group.groups("train_frames")
        frames = np.array(sorted(points))
        means = [float(points[n][name].mean()) for n in frames]
        bars = [float(points[n][name].std(ddof=1)) if len(points[n]) > 1 else 0.0 for n in frames]
        # Points of strategies are side by side, or their bars would hide each other.
        aside = 1.02 ** (number - (len(strategies) - 1) / 2)
        style: dict[str, Any] = {"marker": look_of(strategy).marker, "markersize": 4, "capsize": 2, "elinewidth": 0.9}
        axes.errorbar(frames * aside, means, bars, label=strategy, **style, **line_of(strategy))
    if not len(trials):
        absent(axes)


def _frames_axis(axes: Axes, sizes: list[float]) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{n:g}" for n in sizes]))
    axes.xaxis.set_minor_locator(NullLocator())

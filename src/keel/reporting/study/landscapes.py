"""Two atoms alone: the networks beside the EAM that taught them, and the parts of the EAM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keel.reporting.figures import ReportFigure
from keel.reporting.figures.axes import clipped, energy_axis, plain_log_ticks
from keel.reporting.figures.style import INK, QUIET, slug, styled
from keel.reporting.study.columns import Columns
from keel.reporting.study.panels import WIDTH, absent, empty_figure, grid, legend_below, line_of, shown_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_DRAWN = 6
"""Pairs of elements in one figure; the tables have more."""
SUSPECT = ((0.0, 1.0), (6.0, 8.05))
"""Distances in angstrom at which networks were found to be unphysical: no data set has them."""
# Colour, dashes: Okabe & Ito (2008).
PARTS = {
    "total": (INK, "-"),
    "morse": ("#0072B2", "--"),
    "embedding": ("#009E73", "-."),
    "core": ("#D55E00", ":"),
}
PART_NAMES = {"total": "total", "morse": "Morse (pair)", "embedding": "embedding (atomic)", "core": "ZBL core"}
PAIR_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
PAIR_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))


@styled
def dimer_landscapes(system: str, dimers: Columns, eam: Columns) -> ReportFigure:
    """Energy of two atoms of each pair (rows) and network (columns): strategies beside the EAM."""
    pairs, networks = dimers.different("pair")[:MOST_DRAWN], dimers.different("network")
    figure, panels = grid(len(pairs), len(networks), 1.75, sharex=True, sharey="row")
    for pair, row in zip(pairs, panels, strict=True):
        taught = eam.where(pair=pair)
        for network, axes in zip(networks, row, strict=True):
            _landscape(axes, dimers.where(pair=pair, network=network), taught)
            axes.set_title(f"{pair}, {network}")
        # Panels of a row share their axis, so it must hold the curves of all.
        energy_axis(row[0], [dimers.where(pair=pair)["energy"], taught["total"]])
    for axes in panels.flat:
        axes.set(xlim=(0, 8.05), xlabel="", ylabel="")
        axes.set_xticks(range(0, 9, 2))
    for axes in panels[-1]:
        axes.set_xlabel("r (Å)")
    for axes in panels[:, 0]:
        axes.set_ylabel("energy (eV)")
    legend_below(figure, panels.ravel())
    return ReportFigure(
        name=slug("dimers", system),
        title=f"Dimer curves, {system}",
        caption="Energy of two isolated atoms between 0.1 and 8 Å, zero at 8 Å. The axis is linear around zero and "
        "logarithmic far from it. Shaded: closer than 1 Å and beyond 6 Å, where networks have no data and unphysical "
        "wells and steps are searched for. Bold: the first seed; thin: the others." + shown_of(dimers, MOST_DRAWN),
        alt=f"Dimer curves of {', '.join(pairs)} for {', '.join(networks)} beside the EAM.",
        figure=figure,
        data={},
    )


def _landscape(axes: Axes, dimers: Columns, eam: Columns) -> None:
    for low, high in SUSPECT:
        axes.axvspan(low, high, color=QUIET, alpha=0.13, linewidth=0)
    if not len(dimers):
        absent(axes)
        return
    axes.axhline(0, color=QUIET, linewidth=0.7)
    if len(eam):
        axes.plot(eam["r"], clipped(eam["total"]), color="#00785a", linewidth=3, alpha=0.55, label="EAM")
    for strategy, curves in dimers.groups("strategy").items():
        for number, curve in enumerate(curves.groups("seed").values()):
            width, alpha, label = (1.4, 1.0, strategy) if number == 0 else (0.6, 0.5, None)
            style = {"linewidth": width, "alpha": alpha, "label": label, **line_of(strategy)}
            axes.plot(curve["r"], clipped(curve["energy"]), **style)


@styled
def eam_decomposition(system: str, eam: Columns) -> ReportFigure:
    """Energy of two atoms in the EAM and its parts, above the electron density at each of them."""
    pairs = eam.different("pair")[:MOST_DRAWN]
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    figure = empty_figure(min(WIDTH, 1.4 + 2.4 * columns), 2.9 * rows + 0.5)
    heights = [height for _ in range(rows) for height in (2.0, 1.0)]
    panels = figure.subplots(2 * rows, columns, squeeze=False, sharex=True, height_ratios=heights)
    for axes in panels.flat:
        axes.set_visible(False)
    for number, pair in enumerate(pairs):
        row, column = divmod(number, columns)
        upper, lower = panels[2 * row, column], panels[2 * row + 1, column]
        for axes in (upper, lower):
            axes.set_visible(True)
        lower.tick_params(labelbottom=True)
        _parts(upper, eam.where(pair=pair))
        _density(lower, eam.where(pair=pair))
        upper.set_title(pair)
        if column == 0:
            upper.set_ylabel("energy (eV)")
            lower.set_ylabel("density")
    legend_below(figure, panels.ravel())
    return ReportFigure(
        name=slug("eam-parts", system),
        title=f"What the EAM is made of, {system}",
        caption="Two isolated atoms in the fitted embedded-atom potential. Their energy is the sum of a Morse pair "
        "interaction, the energy of each atom in the electron density of the other (embedding), and a nuclear core if "
        "there is one. Below: that density; 1 is its mean in the training structures." + shown_of(eam, MOST_DRAWN),
        alt=f"Parts of the EAM energy and the electron density of {', '.join(pairs)}.",
        figure=figure,
        data={},
    )


def _parts(axes: Axes, eam: Columns) -> None:
    shown = [name for name in PARTS if name != "core" or np.nan_to_num(eam["core"]).any()]
    for name in shown:
        colour, dashes = PARTS[name]
        width = 2.2 if name == "total" else 1.4
        axes.plot(eam["r"], clipped(eam[name]), color=colour, linestyle=dashes, linewidth=width, label=PART_NAMES[name])
    energy_axis(axes, [eam[name] for name in shown])
    axes.set(xlabel="", ylabel="")


def _density(axes: Axes, eam: Columns) -> None:
    axes.plot(eam["r"], eam["density"], color="#CC79A7", label="electron density")
    axes.set(xlabel="r (Å)", xlim=(0, 8.05))
    axes.set_xticks(range(0, 9, 2))
    if (eam["density"] > 0).any():
        axes.set(yscale="log", ylim=(1e-4, 3 * float(eam["density"].max())))
        plain_log_ticks(axes, decades=True)


@styled
def eam_curves(system: str, eam: Columns) -> ReportFigure:
    """The EAM curves of the important pairs of a system: as a whole, and their wells."""
    figure, ((whole, wells),) = grid(1, 2, 2.6)
    pairs = eam.groups("pair")
    for number, (pair, curve) in enumerate(list(pairs.items())[:MOST_DRAWN]):
        style = {"color": PAIR_COLOURS[number], "linestyle": PAIR_DASHES[number], "label": pair}
        whole.plot(curve["r"], clipped(curve["total"]), **style)
        wells.plot(curve["r"], curve["total"], **style)
    energy_axis(whole, [curve["total"] for curve in pairs.values()])
    depth = max(0.05, -min(float(curve["total"].min()) for curve in pairs.values()))
    wells.axhline(0, color=QUIET, linewidth=0.7)
    wells.set(xlabel="r (Å)", xlim=(0, 8.05), ylim=(-1.15 * depth, 1.15 * depth))
    whole.set_title("from wall to well")
    wells.set_title("the wells, linear axis")
    legend_below(figure, [whole])
    return ReportFigure(
        name=slug("eam-pairs", system),
        title=f"The EAM, {system}",
        caption="Energy of two isolated atoms for the most common pairs of elements, zero at 8 Å."
        + shown_of(eam, MOST_DRAWN),
        alt=f"EAM dimer curves of {', '.join(list(pairs)[:MOST_DRAWN])}.",
        figure=figure,
        data={},
    )

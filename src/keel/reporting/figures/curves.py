"""Curves against distance: radial distribution functions, dimers, and the parts of the teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keel.atoms.elements import COVALENT_RADII, atomic_number
from keel.atoms.frame import Array
from keel.errors import DataError
from keel.reporting.figures.style import DASHES, INK, ReportFigure, colour_of, new_figure, slug, styled
from keel.reporting.results import Cell, Decomposition

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINEAR_EV = 1.0
"""Energies are drawn as asinh(E / this): linear well below, logarithmic well above."""
HIGHEST_EV = 1e4
TEACHER_COLOUR = "#6e7781"


@styled
def rdf_figure(network: str, pair: str, cells: Sequence[Cell], temperature: float | None) -> ReportFigure:
    """g(r) of a pair of elements: DFT against each strategy, the mean over seeds in a band from lowest to highest."""
    figure, axes = new_figure()
    data: dict[str, Sequence[object]] = {}
    for strategy, members in by_strategy(cells).items():
        curves = [cell.rdf[pair] for cell in members if cell.rdf and pair in cell.rdf]
        if not curves:
            continue
        if not data:
            data = {"r": curves[0].r, "reference": curves[0].reference}
            axes.plot(curves[0].r, curves[0].reference, color=INK, linewidth=4, alpha=0.35, label="DFT")
        values = np.stack([np.interp(np.asarray(data["r"], dtype=float), c.r, c.simulation) for c in curves])
        colour = colour_of(strategy)
        axes.plot(data["r"], values.mean(axis=0), color=colour, linestyle=DASHES.get(strategy, "-"), label=strategy)
        axes.fill_between(data["r"], values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)
        data[strategy] = values.mean(axis=0)
    axes.set(xlabel="r (Å)", ylabel="g(r)", xlim=(0, None), ylim=(0, None))
    at = "" if temperature is None else f", {temperature:g} K"
    axes.set_title(f"{pair}{at}")
    axes.legend(loc="upper right", handlelength=1.6)
    return ReportFigure(
        name=slug("rdf", network, pair),
        title="",
        caption="",
        alt=f"Radial distribution function of {pair}: DFT and " + ", ".join(by_strategy(cells)) + ".",
        figure=figure,
        data=data,
    )


@styled
def dimer_figure(network: str, pair: str, cells: Sequence[Cell], teacher: Decomposition | None) -> ReportFigure:
    """Energy of two atoms alone against their distance: networks beside the EAM."""
    figure, axes = new_figure(height=2.9)
    data: dict[str, list[object]] = {name: [] for name in ("curve", "seed", "r", "energy", "force")}
    mark_contact(axes, pair)
    if teacher is not None:
        axes.plot(teacher.r, clipped(teacher.total), color=TEACHER_COLOUR, linewidth=2.6, alpha=0.55, label="EAM")
        extend(data, "EAM", "", teacher.r, teacher.total, -np.gradient(teacher.total, teacher.r))
    for strategy, members in by_strategy(cells).items():
        drawn = [cell for cell in members if cell.dimers and pair in cell.dimers]
        for number, cell in enumerate(drawn):
            assert cell.dimers is not None
            curve = cell.dimers[pair]
            style = {"label": strategy, "linewidth": 1.5} if number == 0 else {"linewidth": 0.7, "alpha": 0.55}
            axes.plot(
                curve.r, clipped(curve.energy), color=colour_of(strategy), linestyle=DASHES.get(strategy, "-"), **style
            )
            extend(data, strategy, cell.seed, curve.r, curve.energy, curve.force)
    energy_axis(axes)
    axes.set_title(pair)
    axes.legend(loc="upper right", ncols=2, handlelength=1.6, columnspacing=1)
    return ReportFigure(
        name=slug("dimer", network, pair),
        title="",
        caption="",
        alt=f"Dimer energy of {pair} from 0.1 to 8 angstrom: " + ", ".join([*by_strategy(cells), "EAM"]) + ".",
        figure=figure,
        data=data,
    )


@styled
def decomposition_figure(pair: str, parts: Decomposition) -> ReportFigure:
    """The teacher's dimer energy and what it is made of, above the electron density that each atom feels."""
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    figure, axes = new_figure(height=3.5)
    axes.remove()
    axes, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    mark_contact(axes, pair)
    axes.plot(parts.r, clipped(parts.total), color=INK, linewidth=2.2, label="total")
    axes.plot(parts.r, clipped(parts.morse), color="#0072B2", linestyle="--", label="Morse")
    axes.plot(parts.r, clipped(parts.embedding), color="#009E73", linestyle="-.", label="embedding")
    if np.any(parts.core):
        axes.plot(parts.r, clipped(parts.core), color="#D55E00", linestyle=":", label="ZBL core")
    energy_axis(axes)
    axes.set_xlabel("")
    axes.legend(loc="upper right", ncols=2, handlelength=2, columnspacing=1)
    axes.set_title(pair)
    lower.plot(parts.r, parts.density, color="#CC79A7")
    lower.set(xlabel="r (Å)", ylabel="density")
    if (parts.density > 0).any():
        lower.set(yscale="log", ylim=(1e-4, 2 * float(parts.density.max())))
        lower.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        lower.yaxis.set_minor_formatter(NullFormatter())
    names = ("r", "total", "morse", "embedding", "density", "core")
    return ReportFigure(
        name=slug("eam", pair),
        title="",
        caption="",
        alt=f"EAM dimer energy of {pair} with its Morse, embedding and core parts, and the electron density.",
        figure=figure,
        data={name: getattr(parts, name) for name in names},
    )


def by_strategy(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Return the cells of each strategy, in order of appearance."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.strategy, []).append(cell)
    return groups


def clipped(energy: Array) -> Array:
    """Return energies within the drawn range, not-finite ones left out."""
    return np.where(np.isfinite(energy), np.clip(energy, -10 * HIGHEST_EV, 10 * HIGHEST_EV), np.nan)


def energy_axis(axes: Axes) -> None:
    """Draw energies so that both a well of 0.1 eV and a wall of 10 keV are seen."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_yscale("asinh", linear_width=LINEAR_EV)
    drawn = np.concatenate(
        [np.asarray(line.get_ydata(), dtype=float) for line in axes.lines if len(line.get_xdata()) > 2] or [[]]
    )
    low = float(np.min(drawn[np.isfinite(drawn)], initial=-1.0))
    bottom = -1.5 if low > -1.2 else max(3 * low, -HIGHEST_EV)
    axes.set(xlabel="r (Å)", ylabel="energy (eV)", xlim=(0, 8.05), ylim=(bottom, HIGHEST_EV))
    ticks = [-1e4, -1e3, -100, -10, -3, -1, 0, 1, 3, 10, 100, 1e3, 1e4]
    axes.yaxis.set_major_locator(FixedLocator([t for t in ticks if bottom <= t <= HIGHEST_EV]))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−").replace("e+04", "0000"))
    )
    axes.yaxis.set_minor_locator(NullLocator())
    axes.axhline(0, color="#8b949e", linewidth=0.7)


def mark_contact(axes: Axes, pair: str) -> None:
    """Mark the sum of the covalent radii, and shade what is closer than half of it."""
    try:
        contact = sum(float(COVALENT_RADII[atomic_number(name)]) for name in pair.split("-"))
    except DataError:
        return
    axes.axvspan(0, 0.5 * contact, color="#8b949e", alpha=0.16, linewidth=0)
    axes.axvline(contact, color="#8b949e", linewidth=0.8, linestyle=":")


def extend(data: Mapping[str, list[object]], *values: object) -> None:
    """Append a curve to the columns of a table; single values are repeated."""
    length = max(np.size(value) for value in values)
    for column, value in zip(data.values(), values, strict=True):
        column.extend(value if isinstance(value, np.ndarray) else [value] * length)

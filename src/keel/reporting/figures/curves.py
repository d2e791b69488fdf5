"""Curves against distance: radial distribution functions, dimers, and the parts of the teacher."""

from __future__ import annotations

from typing import Any

import numpy as np

from keel.reporting.figures.axes import clipped, energy_axis, mark_contact, plain_log_ticks
from keel.reporting.figures.style import (
    INK,
    QUIET,
    Column,
    ReportFigure,
    joined,
    new_figure,
    slug,
    styled,
)
from keel.results.made import Decomposition
from keel.results.run import Trials, by_strategy
from keel.training.known import look_of


@styled
def rdf_figure(network: str, pair: str, trials: Trials, temperature: float | None) -> ReportFigure:
    """g(r) of a pair of elements: DFT against each strategy, the mean over seeds in a band from lowest to highest."""
    figure, axes = new_figure()
    drawn = [(trial.strategy, trial.rdf_curves[pair]) for trial in trials if pair in trial.rdf_curves]
    first = drawn[0][1]
    known = bool(np.isfinite(first.reference).any())
    if known:
        axes.plot(first.r, first.reference, color=INK, linewidth=3, alpha=0.4, label="DFT")
    data: dict[str, Column] = {"r": first.r, "reference": first.reference}
    for strategy in dict.fromkeys(name for name, _ in drawn):
        curves = np.stack([np.interp(first.r, c.r, c.simulation) for name, c in drawn if name == strategy])
        mean, colour = curves.mean(axis=0), look_of(strategy).colour
        axes.plot(first.r, mean, color=colour, linestyle=look_of(strategy).line, label=strategy)
        axes.fill_between(first.r, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.2, linewidth=0)
        data[strategy] = mean
    axes.set(xlabel="r (Å)", ylabel="g(r)")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_title(pair if temperature is None else f"{pair}, {temperature:g} K")
    axes.legend(loc="upper right", handlelength=1.6)
    return ReportFigure(
        name=slug("rdf", network, pair),
        alt=f"Radial distribution function of {pair}: {'DFT and ' * known}{', '.join(list(data)[2:])}.",
        figure=figure,
        data=data,
    )


@styled
def dimer_figure(network: str, pair: str, trials: Trials, teacher: Decomposition | None) -> ReportFigure:
    """Energy of two atoms alone against their distance: networks beside the teacher."""
    figure, axes = new_figure(height=2.9)
    mark_contact(axes, pair)
    parts: list[tuple[Column | object, ...]] = []
    energies = []
    if teacher is not None:
        axes.plot(teacher.r, clipped(teacher.total), color=QUIET, linewidth=3, alpha=0.6, label=teacher.name)
        parts.append((teacher.name, "", teacher.r, teacher.total, -np.gradient(teacher.total, teacher.r)))
        energies.append(teacher.total)
    for strategy, members in by_strategy(trials).items():
        style: dict[str, Any] = {"color": look_of(strategy).colour, "linestyle": look_of(strategy).line}
        curves = [(trial.seed, trial.dimer_curves[pair]) for trial in members if pair in trial.dimer_curves]
        for number, (seed, curve) in enumerate(curves):
            # One seed is drawn boldly and named, the others show the spread.
            width, alpha, label = (1.5, 1.0, strategy) if number == 0 else (0.7, 0.55, None)
            axes.plot(curve.r, clipped(curve.energy), linewidth=width, alpha=alpha, label=label, **style)
            parts.append((strategy, seed, curve.r, curve.energy, curve.force))
            energies.append(curve.energy)
    energy_axis(axes, energies)
    axes.set_title(pair)
    axes.legend(loc="upper right", ncols=2, handlelength=1.6, columnspacing=1)
    return ReportFigure(
        name=slug("dimer", network, pair),
        alt=f"Dimer energy of {pair} from 0.1 to 8 angstrom: {', '.join(dict.fromkeys(str(p[0]) for p in parts))}.",
        figure=figure,
        data=joined(("curve", "seed", "r", "energy", "force"), parts),
    )


@styled
def decomposition_figure(pair: str, parts: Decomposition) -> ReportFigure:
    """The teacher's dimer energy; for an EAM its parts, above the electron density at each atom."""
    if parts.name != "EAM":
        return _undivided_figure(pair, parts)
    figure, (axes, lower) = new_figure(height=3.5, panels=(3, 1))
    mark_contact(axes, pair)
    axes.plot(parts.r, clipped(parts.total), color=INK, linewidth=2.2, label="total")
    axes.plot(parts.r, clipped(parts.morse), color="#0072B2", linestyle="--", label="Morse")
    axes.plot(parts.r, clipped(parts.embedding), color="#009E73", linestyle="-.", label="embedding")
    if np.any(parts.core):
        axes.plot(parts.r, clipped(parts.core), color="#D55E00", linestyle=":", label="ZBL core")
    energy_axis(axes, [parts.total, parts.morse, parts.embedding])
    axes.set_xlabel("")
    axes.legend(loc="upper right", ncols=2, handlelength=2, columnspacing=1)
    axes.set_title(pair)
    lower.plot(parts.r, parts.density, color="#CC79A7")
    lower.set(xlabel="r (Å)", ylabel="density")
    if (parts.density > 0).any():
        lower.set(yscale="log", ylim=(1e-4, 2 * float(parts.density.max())))
        plain_log_ticks(lower, decades=True)
    names = ("r", "total", "morse", "embedding", "density", "core")
    return ReportFigure(
        name=slug("eam", pair),
        alt=f"EAM dimer energy of {pair} with its Morse, embedding and core parts, and the electron density.",
        figure=figure,
        data={name: getattr(parts, name) for name in names},
    )


def _undivided_figure(pair: str, teacher: Decomposition) -> ReportFigure:
    figure, axes = new_figure()
    mark_contact(axes, pair)
    axes.plot(teacher.r, clipped(teacher.total), color=INK, linewidth=2.2)
    energy_axis(axes, [teacher.total])
    axes.set_title(pair)
    return ReportFigure(
        name=slug("teacher", pair),
        alt=f"Dimer energy of {pair} according to the teacher.",
        figure=figure,
        data={"r": teacher.r, "total": teacher.total},
    )

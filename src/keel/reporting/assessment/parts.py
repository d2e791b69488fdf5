"""What the page shows of each probe: outcomes, metrics, curves and films of all potentials together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from keel.evaluation.check import CheckResult, Curve, Metric
from keel.reporting.figures.style import slug
from keel.reporting.page.film import Player, player
from keel.reporting.page.plot import COLOURS, DASHES, Line, Plot, plot
from keel.results.assessment import Assessment, unique
from keel.wording import number, typeset

POINTS, RUNS = 80_000, 100
"""Largest number of points of all curves on a page together (about), and of segments of one curve."""
POSITIONS, FRAMES = 400_000, 60
"""Largest number of positions of all films on a page together, and of frames of one film."""
PICTURED, ATOMS = 30_000, 2000
"""Largest number of atoms of all pictures together, and of one picture."""


@dataclass(frozen=True)
class Cell:
    """The result of one potential in the matrix of results.

    Parameters
    ----------
    result
        Of the probe; None if it was not run.
    deciding
        The number that decided, in words; may be empty.
    """

    result: CheckResult | None
    deciding: str


@dataclass(frozen=True)
class Row:
    """A metric of one probe: a value for each potential that has it."""

    name: str
    unit: str
    values: tuple[Metric | None, ...]


@dataclass(frozen=True)
class Probe:
    """A section of the page.

    Parameters
    ----------
    name, anchor
        Title, and identifier in the page.
    cells
        One for each potential.
    rows, plots, films
        Metrics, curves, and films of all potentials.
    empty
        Curves and films in which there is nothing to show.
    """

    name: str
    anchor: str
    cells: tuple[Cell, ...]
    rows: tuple[Row, ...]
    plots: tuple[Plot, ...]
    films: tuple[Player, ...]
    empty: tuple[str, ...]


def probes(assessments: Sequence[Assessment]) -> list[Probe]:
    """Return the sections of the page: the probes of all potentials, in order of appearance."""
    tables = [a.by_probe for a in assessments]
    names = list(dict.fromkeys(name for table in tables for name in table))
    results = [result for table in tables for result in table.values()]
    runs = max(8, min(RUNS, POINTS // (4 * max(1, sum(len(r.curves) for r in results)))))
    films = max(1, sum(len(r.films) for r in results))
    potentials = [a.potential for a in assessments]
    return [
        _probe(name, f"probe-{k}-{slug(name)}", [t.get(name) for t in tables], potentials, runs, films)
        for k, name in enumerate(names, start=1)
    ]


def _probe(
    name: str, anchor: str, results: list[CheckResult | None], potentials: list[str], runs: int, n_films: int
) -> Probe:
    found = [(p, curve) for p, result in enumerate(results) if result is not None for curve in result.curves]
    # With several potentials, each condition with samples has a plot of its own.
    apart = {s.condition for r in results if r is not None for s in r.samples} if len(potentials) > 1 else set()
    groups: dict[tuple[str, str, str], list[tuple[int, Curve]]] = {}
    for p, curve in found:
        if len(curve.x):
            condition = curve.name if curve.name in apart else ""
            groups.setdefault((curve.x_label, curve.y_label, condition), []).append((p, curve))
    films, unseen = _films(anchor, results, potentials, n_films)
    empty = [f"The curve “{curve.name}” has no points." for _, curve in found if not len(curve.x)]
    return Probe(
        name=name,
        anchor=anchor,
        cells=tuple(Cell(r, "" if r is None else deciding(r)) for r in results),
        rows=rows(results),
        plots=tuple(_plot(condition, lines(group, potentials), runs) for (_, _, condition), group in groups.items()),
        films=films,
        empty=(*empty, *unseen),
    )


def _plot(condition: str, drawn: Sequence[Line], runs: int) -> Plot:
    found = plot(drawn, runs)
    return replace(found, title=f"{found.title}, {condition}") if condition else found


def deciding(result: CheckResult) -> str:
    """Return the number that decided, in words: that furthest beyond its limit, or else the first."""
    if not result.metrics:
        return ""

    def excess(metric: Metric) -> float:
        if metric.passed:
            return 0.0
        if metric.limit and math.isfinite(metric.value):
            return abs(metric.value) / metric.limit
        return math.inf

    metric = max(result.metrics, key=excess)
    return typeset(f"{metric.name} {number(metric.value, 3)} {metric.unit}".rstrip())


def rows(results: Sequence[CheckResult | None]) -> tuple[Row, ...]:
    """Return the metrics of all potentials, those of one name and unit in one row."""
    tables = [
        {} if r is None else {(n, m.unit): m for n, m in zip(unique(m.name for m in r.metrics), r.metrics, strict=True)}
        for r in results
    ]
    keys = dict.fromkeys(key for table in tables for key in table)
    return tuple(Row(*key, values=tuple(table.get(key) for table in tables)) for key in keys)


def lines(found: Sequence[tuple[int, Curve]], potentials: Sequence[str]) -> list[Line]:
    """Return the curves of a plot, each with the number of its potential: coloured by potential if there are several.

    A curve that is the same for several potentials, such as a reference, is drawn once.
    """
    if len(potentials) == 1:
        return [Line(typeset(c.name), c, k % COLOURS + 1, k // COLOURS % len(DASHES)) for k, (_, c) in enumerate(found)]
    kinds = list(dict.fromkeys(curve.name for _, curve in found))
    drawn: list[Line] = []
    for p, curve in found:
        same, dash = [c for _, c in found if c.name == curve.name], kinds.index(curve.name) % len(DASHES)
        if len(same) > 1 and all(_equal(c, curve) for c in same):
            if curve is same[0]:
                drawn.append(Line(typeset(curve.name), curve, 0, dash))
            continue
        name = potentials[p] if len(kinds) == 1 else f"{potentials[p]}: {typeset(curve.name)}"
        drawn.append(Line(name, curve, p % COLOURS + 1, dash))
    return drawn


def _equal(a: Curve, b: Curve) -> bool:
    return np.array_equal(a.x, b.x, equal_nan=True) and np.array_equal(a.y, b.y, equal_nan=True)


def _films(
    anchor: str, results: list[CheckResult | None], potentials: list[str], n_films: int
) -> tuple[tuple[Player, ...], list[str]]:
    players: list[Player] = []
    unseen: list[str] = []
    for potential, result in zip(potentials, results, strict=True):
        for film in result.films if result is not None else ():
            title = film.name if len(potentials) == 1 else f"{potential}: {film.name}"
            if not film.frames or not len(film.frames[-1]):
                unseen.append(f"The film “{title}” has no frame with atoms.")
                continue
            atoms = min(ATOMS, max(20, PICTURED // n_films), len(film.frames[-1]))
            frames = max(1, min(FRAMES, POSITIONS // n_films // atoms))
            name = f"{anchor}-film-{len(players) + 1}"
            players.append(player(film, name, title, most_atoms=atoms, most_frames=frames))
    return tuple(players), unseen

"""The report of a run: one HTML file that needs nothing else, and every figure as PNG, PDF and CSV beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np

from keel import __version__
from keel.atoms.frame import Frame
from keel.files import replace_file
from keel.reporting import figures
from keel.reporting.comparison import StrategyResult, Verdict, compare, verdicts
from keel.reporting.figures import ReportFigure
from keel.reporting.figures.curves import by_strategy
from keel.reporting.notes import remarks, story, tiles
from keel.reporting.results import Cell, RunResults, load_results
from keel.reporting.tables import (
    Table,
    census_table,
    dimer_table,
    element_table,
    ranges_table,
    rdf_table,
    strategy_table,
    teacher_table,
    versions_table,
)

MOST_PAIRS = 12
"""Pairs of elements drawn; curves of all pairs are in the CSV files."""


@dataclass(frozen=True)
class Drawing:
    """A figure on the page: inline SVG and the words around it."""

    name: str
    title: str
    caption: str
    svg: str


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it."""

    anchor: str
    title: str
    text: tuple[str, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    tables: tuple[Table, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class NetworkPart:
    """The verdicts on one network and its key numbers."""

    name: str
    verdicts: tuple[Verdict, ...]
    tiles: tuple[tuple[str, str, str], ...]


def write_report(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write the report of a run folder: ``report.html`` and ``figures/NAME.{png,pdf,csv}``.

    Parameters
    ----------
    folder
        The run folder.
    out
        Another place for the HTML file; its figures then lie in ``figures/`` beside it.

    Returns
    -------
    Path
        The HTML file.

    Raises
    ------
    DataError
        If the folder is none of a run, or a file of it is absent or damaged.
    """
    results = load_results(folder)
    path = Path(out) if out is not None else Path(folder) / "report.html"
    page = render(results, Pages(path.parent / "figures"))
    replace_file(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))
    return path


class Pages:
    """Draws figures into a folder, each under a name of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: set[str] = set()

    def draw(self, picture: ReportFigure) -> Drawing:
        """Save a figure and return it for the page."""
        name, number = picture.name, 1
        while name.lower() in self.names:
            number += 1
            name = f"{picture.name}-{number}"
        self.names.add(name.lower())
        svg = figures.save(replace(picture, name=name), self.folder)
        return Drawing(name, picture.title, picture.caption, svg)


def render(results: RunResults, pages: Pages) -> str:
    """Return the page as HTML, saving its figures on the way."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    package = resources.files("keel.reporting")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(package.joinpath("report.html").read_text(encoding="utf-8"))
    compared = {network: compare(results, network) for network in results.networks}
    parts = [NetworkPart(n, verdicts(s), tiles(s)) for n, s in compared.items()]
    sections = [section for section in _sections(results, compared, pages) if section]
    return template.render(
        results=results,
        parts=parts,
        story=story(results),
        remarks=remarks(results),
        sections=sections,
        versions=versions_table(results),
        version=__version__,
        style=Markup(package.joinpath("report.css").read_text(encoding="utf-8")),
        svg=Markup,
    )


def _sections(
    results: RunResults, compared: dict[str, tuple[StrategyResult, ...]], pages: Pages
) -> Iterable[Section | None]:
    several = len(compared) > 1
    for network, strategies in compared.items():
        suffix = f", {network}" if several else ""
        cells = results.cells_of(network)
        yield _comparison(network, strategies, cells, suffix)
        yield _stability(strategies, suffix, pages)
        yield _failures(network, cells, suffix, pages)
        yield _rdfs(network, cells, results, suffix, pages)
        yield _dimers(network, cells, results, suffix, pages)
    yield _teacher(results, pages)
    for network in compared:
        suffix = f", {network}" if several else ""
        yield _training(network, results.cells_of(network), suffix, pages)
        yield _parity(network, results.cells_of(network), suffix, pages)
    yield _data(results)


def _comparison(network: str, strategies: Sequence[StrategyResult], cells: Sequence[Cell], suffix: str) -> Section:
    by_element = element_table(cells)
    tables = (strategy_table(strategies), *([by_element] if by_element else []))
    return Section(f"strategies-{network}", f"Strategies side by side{suffix}", tables=tables)


def _stability(strategies: Sequence[StrategyResult], suffix: str, pages: Pages) -> Section | None:
    tested = [s for s in strategies if s.runs]
    if not tested:
        return None
    kinds = (figures.survival_figure, figures.causes_figure, figures.trade_off_figure)
    drawings = tuple(pages.draw(kind(tested)) for kind in kinds)
    return Section(f"stability-{tested[0].network}", f"Stability in molecular dynamics{suffix}", drawings=drawings)


def _failures(network: str, cells: Sequence[Cell], suffix: str, pages: Pages) -> Section | None:
    chosen = {s: _typical(members) for s, members in by_strategy(cells).items()}
    drawings = tuple(
        pages.draw(figures.failure_figure(network, strategy, frame)) for strategy, frame in chosen.items() if frame
    )
    text = (
        "The structure in which the median failing run of each strategy stood just before it failed. Balls have covalent "
        "radii; the closest pair is ringed, and atoms in front of it are glassy.",
    )
    return Section(f"failures-{network}", f"The frame before failure{suffix}", text, drawings) if drawings else None


def _typical(cells: Sequence[Cell]) -> Frame | None:
    """Return the frame before failure of the median failing run."""
    frames = [f for cell in cells for f in cell.failures if len(f) > 1 and np.isfinite(f.positions).all()]
    frames.sort(key=lambda frame: float(frame.info.get("time_fs", 0.0)))
    return frames[(len(frames) - 1) // 2] if frames else None


def _rdfs(network: str, cells: Sequence[Cell], results: RunResults, suffix: str, pages: Pages) -> Section | None:
    pairs = important_pairs((p for cell in cells for p in cell.rdf or ()), results)
    temperature = next((c.rdf_details.get("temperature_k") for c in cells if c.rdf_details), None)
    drawings = tuple(pages.draw(figures.rdf_figure(network, p, cells, temperature)) for p in pairs[:MOST_PAIRS])
    table = rdf_table(cells)
    if not drawings:
        return None
    text = ("Simulation against DFT at the temperature of the data; bands reach from the lowest to the highest seed.",)
    return Section(
        f"rdf-{network}", f"Radial distribution functions{suffix}", text, drawings, (table,) if table else ()
    )


def _dimers(network: str, cells: Sequence[Cell], results: RunResults, suffix: str, pages: Pages) -> Section | None:
    pairs = important_pairs((p for cell in cells for p in cell.dimers or ()), results)
    if not pairs:
        return None
    teacher = results.teacher.decomposition if results.teacher else {}
    pictures = [figures.dimer_figure(network, p, cells, teacher.get(p)) for p in pairs]
    shown = tuple(pages.draw(picture) for picture in pictures[:MOST_PAIRS])
    if len(pairs) > MOST_PAIRS:
        _all_pairs(pages.folder / f"dimers-{network}-all-pairs.csv", pairs, pictures)
    text = [
        "Two atoms alone, a distance that no data set shows: a sound potential rises without end towards short "
        "distances. The axis is linear around zero and logarithmic far from it. Dotted: the sum of the covalent radii; "
        "shaded: closer than half of it, where a run counts as failed. Thin lines are further seeds."
    ]
    if len(pairs) > MOST_PAIRS:
        text.append(f"The {MOST_PAIRS} most common of {len(pairs)} pairs are shown; figures/ has all of them as CSV.")
    table = dimer_table(cells, pairs[:MOST_PAIRS])
    return Section(f"dimers-{network}", f"Dimer curves{suffix}", tuple(text), shown, (table,) if table else ())


def _all_pairs(path: Path, pairs: Sequence[str], pictures: Sequence[ReportFigure]) -> None:
    columns: dict[str, list[object]] = {name: [] for name in ("pair", *pictures[0].data)}
    for pair, picture in zip(pairs, pictures, strict=True):
        columns["pair"].extend([pair] * len(picture.data["r"]))
        for name, values in picture.data.items():
            columns[name].extend(values)
    figures.write_table(path, columns)


def _teacher(results: RunResults, pages: Pages) -> Section | None:
    if results.teacher is None:
        return None
    fit, curves = results.teacher.fit, results.teacher.decomposition
    pairs = important_pairs(curves, results)[:MOST_PAIRS]
    drawings = tuple(pages.draw(figures.decomposition_figure(p, curves[p])) for p in pairs)
    text = [
        "The embedded-atom potential that labels the structures of pretraining, fitted to the training frames. "
        "The total energy of a dimer is the sum of its Morse, embedding and core parts; below, the electron density that each of the "
        "two atoms feels (1 is the mean of the training data)."
    ]
    if fit.get("pairs_without_data"):
        text.append(f"Pairs without data, given a nuclear wall only: {', '.join(map(str, fit['pairs_without_data']))}.")
    table = teacher_table(fit)
    warnings = tuple(str(w) for w in fit.get("warnings") or ())
    return Section("teacher", "The EAM teacher", tuple(text), drawings, (table,) if table else (), warnings)


def _training(network: str, cells: Sequence[Cell], suffix: str, pages: Pages) -> Section | None:
    trained = {s: [c for c in members if c.training] for s, members in by_strategy(cells).items()}
    trained = {strategy: members for strategy, members in trained.items() if members}
    if not trained:
        return None
    pictures = [figures.training_figure(network, s, members) for s, members in trained.items()]
    if any(np.isfinite(c.training.validation_force_mae).any() for c in cells if c.training):
        pictures.insert(0, figures.validation_figure(network, [c for c in cells if c.training]))
    drawings = tuple(pages.draw(picture) for picture in pictures)
    return Section(f"training-{network}", f"Training{suffix}", drawings=drawings)


def _parity(network: str, cells: Sequence[Cell], suffix: str, pages: Pages) -> Section | None:
    quantities = dict.fromkeys(q for cell in cells for q in cell.parity)
    samples = {
        (quantity, strategy): [c.parity[quantity] for c in members if quantity in c.parity]
        for quantity in quantities
        for strategy, members in by_strategy(cells).items()
    }
    drawings = tuple(
        pages.draw(figures.parity_figure(network, strategy, quantity, parts))
        for (quantity, strategy), parts in samples.items()
        if parts
    )
    text = ("Predictions against DFT labels on the test frames (a thinned sample, all seeds).",)
    return Section(f"parity-{network}", f"Accuracy on test frames{suffix}", text, drawings) if drawings else None


def _data(results: RunResults) -> Section | None:
    if not results.census:
        return None
    census, ranges = results.census, ranges_table(results.census)
    findings = tuple(f"{f['level']}: {f['message']}" for f in census.get("findings", ()) if f["level"] != "note")
    notes = tuple(f["message"] for f in census.get("findings", ()) if f["level"] == "note")
    aside = tuple(f"set aside: {reason}" for reason in census.get("set_aside", ()))
    return Section(
        "data",
        "The data",
        notes,
        tables=(census_table(census), *([ranges] if ranges else [])),
        warnings=findings + aside,
    )


def important_pairs(pairs: Iterable[str], results: RunResults) -> list[str]:
    """Return different pairs of elements, those of common elements first; ``total`` comes last."""
    counts = results.census.get("elements", {})

    def weight(pair: str) -> float:
        elements = pair.split("-")
        if len(elements) != 2:
            return -1.0
        a, b = elements
        return float(counts.get(a, 0) * counts.get(b, 0)) * (1.0 if a == b else 2.0)

    return sorted(dict.fromkeys(pairs), key=weight, reverse=True)

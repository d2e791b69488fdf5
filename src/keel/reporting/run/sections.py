"""The sections of the report: figures, tables and the words around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from keel.atoms.frame import Frame
from keel.reporting import figures
from keel.reporting.figures import ReportFigure
from keel.reporting.run.contacts import contact_table
from keel.reporting.run.probes import probe_table
from keel.reporting.run.squeeze import crystal_names, fall_rows, squeeze_table
from keel.reporting.run.tables import (
    Table,
    census_table,
    dimer_table,
    element_table,
    ranges_table,
    rdf_table,
    strategy_table,
    teacher_table,
)
from keel.reporting.strategies import StrategyResult
from keel.results.run import RunResults, Trials, by_strategy

MOST_PAIRS = 12
"""Pairs of elements drawn; the CSV files of the stages have all."""


@dataclass(frozen=True)
class Drawing:
    """A figure on the page: inline SVG and the words around it."""

    name: str
    title: str
    caption: str
    svg: str


@dataclass(frozen=True)
class Section:
    """A heading with its content; on paper its figures take half of the width, or ``thirds``."""

    title: str
    text: tuple[str, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    tables: tuple[Table, ...] = ()
    warnings: tuple[str, ...] = ()
    thirds: bool = False


class Album:
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


def sections(
    results: RunResults, compared: dict[str, tuple[StrategyResult, ...]], album: Album
) -> Iterable[Section | None]:
    """Return the sections of the report in their order; None for those without content."""
    several = len(compared) > 1
    for network, strategies in compared.items():
        suffix = f", {network}" if several else ""
        trials = results.trials_of(network)
        yield _comparison(strategies, trials, suffix)
        yield _stability(strategies, suffix, album)
        yield _failures(network, trials, suffix, album)
        yield _squeeze(network, trials, results, suffix, album)
        yield _rdfs(network, trials, results, suffix, album)
        yield _dimers(network, trials, results, suffix, album)
        yield _probes(trials, suffix)
    yield _teacher(results, album)
    for network in compared:
        suffix = f", {network}" if several else ""
        yield _training(network, results.trials_of(network), suffix, album)
        yield _parity(network, results.trials_of(network), suffix, album)
        yield _contacts(network, results, suffix, album)
    yield _data(results)


def _comparison(strategies: Sequence[StrategyResult], trials: Trials, suffix: str) -> Section:
    by_element = element_table(trials)
    squeezed = fall_rows(trials, [s.strategy for s in strategies])
    tables = (strategy_table(strategies, squeezed), *([by_element] if by_element else []))
    return Section(f"Strategies side by side{suffix}", tables=tables)


def _stability(strategies: Sequence[StrategyResult], suffix: str, album: Album) -> Section | None:
    tested = [s for s in strategies if s.runs]
    if not tested:
        return None
    kinds = (figures.survival_figure, figures.causes_figure, figures.trade_off_figure)
    drawings = tuple(album.draw(kind(tested)) for kind in kinds)
    return Section(f"Stability in molecular dynamics{suffix}", drawings=drawings)


def _failures(network: str, trials: Trials, suffix: str, album: Album) -> Section | None:
    chosen = {s: _typical(members) for s, members in by_strategy(trials).items()}
    drawings = tuple(
        album.draw(figures.failure_figure(network, strategy, frame)) for strategy, frame in chosen.items() if frame
    )
    text = (
        "The structure of the median failing run of each strategy just before it failed. Balls have covalent radii; "
        "the closest pair is ringed, and atoms in front of it are transparent.",
    )
    return Section(f"The frame before failure{suffix}", text, drawings) if drawings else None


def _typical(trials: Trials) -> Frame | None:
    """Return the frame before failure of the median failing run."""
    frames = [f for trial in trials for f in trial.failures if len(f) > 1 and np.isfinite(f.positions).all()]
    frames.sort(key=lambda frame: float(frame.info.get("time_fs", 0.0)))
    return frames[(len(frames) - 1) // 2] if frames else None


def _squeeze(network: str, trials: Trials, results: RunResults, suffix: str, album: Album) -> Section | None:
    teacher = results.teacher_squeeze.crystals if results.teacher_squeeze else ()
    if not any(trial.squeezed for trial in trials):
        return None
    drawings = tuple(
        album.draw(figures.squeeze_figure(network, name, trials, teacher)) for name in crystal_names(trials, teacher)
    )
    text = (
        "Crystals of the test frames, compressed uniformly to 0.74 of their length (0.4 of their volume) at fixed "
        "fractional coordinates. With a sound potential the pressure rises at every step. Where it falls (a cross), "
        "the crystal collapses under that load, and a simulation that gets there does not recover. Thin "
        "lines are further seeds. The vertical axis is linear around zero and logarithmic far from it.",
    )
    return Section(f"Under compression{suffix}", text, drawings, (squeeze_table(trials, teacher),))


def _rdfs(network: str, trials: Trials, results: RunResults, suffix: str, album: Album) -> Section | None:
    pairs = important_pairs((p for trial in trials for p in trial.rdf_curves), results)
    temperature = next((t.rdf.temperature_k for t in trials if t.rdf), None)
    drawings = tuple(album.draw(figures.rdf_figure(network, p, trials, temperature)) for p in pairs[:MOST_PAIRS])
    table = rdf_table(trials)
    if not drawings:
        return None
    known = any(np.isfinite(c.reference).any() for trial in trials for c in trial.rdf_curves.values())
    what = "Simulation against DFT" if known else "Simulations (no DFT data at this temperature)"
    text = (f"{what} at the temperature of the data; bands span the lowest to the highest seed.",)
    return Section(f"Radial distribution functions{suffix}", text, drawings, (table,) if table else ())


def _dimers(network: str, trials: Trials, results: RunResults, suffix: str, album: Album) -> Section | None:
    pairs = important_pairs((p for trial in trials for p in trial.dimer_curves), results)
    if not pairs:
        return None
    teacher = results.teacher.decomposition if results.teacher else {}
    shown = tuple(album.draw(figures.dimer_figure(network, p, trials, teacher.get(p))) for p in pairs[:MOST_PAIRS])
    text = [
        "Isolated pairs of atoms, which no data set covers at all distances: a sound potential keeps rising towards "
        "short distances. The axis is linear around zero and logarithmic far from it. Dotted: the sum of the covalent "
        "radii; "
        "shaded: closer than half of it, where a run counts as failed. Thin lines are further seeds."
    ]
    if len(pairs) > MOST_PAIRS:
        text.append(
            f"The {MOST_PAIRS} most common of {len(pairs)} pairs are shown; stages/ has the curves of all pairs "
            "(dimers.csv)."
        )
    table = dimer_table(trials, pairs[:MOST_PAIRS])
    return Section(f"Dimer curves{suffix}", tuple(text), shown, (table,) if table else ())


def _probes(trials: Trials, suffix: str) -> Section | None:
    table = probe_table(trials)
    return Section(f"Probes{suffix}", ("On the test frames, as in `keel assess`.",), tables=(table,)) if table else None


def _teacher(results: RunResults, album: Album) -> Section | None:
    if results.teacher is None:
        return None
    fit, curves = results.teacher.fit, results.teacher.decomposition
    pairs = important_pairs(curves, results)[:MOST_PAIRS]
    drawings = tuple(album.draw(figures.decomposition_figure(p, curves[p])) for p in pairs)
    kind = fit.get("kind")
    text = [
        f"The potential that labels the structures of pretraining: {kind}."
        if kind
        else "The embedded-atom potential that labels the structures of pretraining, fitted to the training frames. "
        "The total energy of a dimer is the sum of its Morse, embedding and core parts; below, the electron density at "
        "each of the two atoms (1 is the mean of the training data)."
    ]
    if fit.get("pairs_without_data"):
        text.append(
            f"Pairs without data, which have a nuclear wall only: {', '.join(map(str, fit['pairs_without_data']))}."
        )
    table = teacher_table(fit)
    warnings = tuple(str(w) for w in fit.get("warnings") or ())
    return Section(
        "The teacher" if kind else "The EAM teacher", tuple(text), drawings, (table,) if table else (), warnings
    )


def _training(network: str, trials: Trials, suffix: str, album: Album) -> Section | None:
    trained = {s: [t for t in members if t.training] for s, members in by_strategy(trials).items()}
    trained = {strategy: members for strategy, members in trained.items() if members}
    if not trained:
        return None
    pictures = [figures.training_figure(network, s, members) for s, members in trained.items()]
    if any(np.isfinite(t.training.validation_force_mae).any() for t in trials if t.training):
        pictures.insert(0, figures.validation_figure(network, [t for t in trials if t.training]))
    drawings = tuple(album.draw(picture) for picture in pictures)
    return Section(f"Training{suffix}", drawings=drawings)


def _parity(network: str, trials: Trials, suffix: str, album: Album) -> Section | None:
    quantities = dict.fromkeys(q for trial in trials for q in trial.parity)
    samples = {
        (quantity, strategy): [t.parity[quantity] for t in members if quantity in t.parity]
        for quantity in quantities
        for strategy, members in by_strategy(trials).items()
    }
    drawings = tuple(
        album.draw(figures.parity_figure(network, strategy, quantity, parts))
        for (quantity, strategy), parts in samples.items()
        if parts
    )
    text = ("Predictions against DFT labels on the test frames (a thinned sample, all seeds).",)
    return Section(f"Accuracy on test frames{suffix}", text, drawings, thirds=True) if drawings else None


def _contacts(network: str, results: RunResults, suffix: str, album: Album) -> Section | None:
    trials = results.trials_of(network)
    teacher = results.teacher_contacts.quantities if results.teacher_contacts else {}
    table = contact_table(trials, teacher)
    if table is None:
        return None
    names = dict.fromkeys(q for t in trials for q in t.by_contact)
    drawings = tuple(album.draw(figures.contact_figure(network, name, trials, teacher)) for name in names)
    text = (
        "The test frames grouped by how close atoms are, in sums of covalent radii: forces by the nearest neighbour of "
        "the atom, pressures and energies by the closest contact of the frame. An error as large as the label is that "
        "of a trivial potential: no force, no pressure, and one energy for each element. Energies are compared after "
        "fitting an offset for each element that minimises their error.",
    )
    return Section(f"Errors as atoms come close{suffix}", text, drawings, (table,), thirds=True)


def _data(results: RunResults) -> Section | None:
    if not results.census:
        return None
    census, ranges = results.census, ranges_table(results.census)
    findings = tuple(f"{f['level']}: {f['message']}" for f in census.get("findings", ()) if f["level"] != "note")
    notes = tuple(f["message"] for f in census.get("findings", ()) if f["level"] == "note")
    notes += tuple(f"not used: {sentence}" for sentence in census.get("not_used", ()))
    aside = tuple(f"set aside: {reason}" for reason in census.get("set_aside", ()))
    return Section(
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

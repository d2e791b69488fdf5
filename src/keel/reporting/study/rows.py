"""The rows of a study's tables, from the run folders of its systems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keel.atoms.frame import Array
from keel.atoms.units import GPA
from keel.comparison.statistics import Interval
from keel.evaluation.equilibrium.squeeze import Squeezed
from keel.evaluation.labels.by_contact import ContactErrors
from keel.records import write_json
from keel.reporting.figures.axes import LINEAR_EV
from keel.reporting.strategies import StrategyResult, compare, paired, verdict
from keel.reporting.study.collect import System
from keel.reporting.study.columns import RECORD, STUDY, TABLES, write_rows
from keel.reporting.study.thinner import simplified
from keel.results.run import RunResults, TrialResults
from keel.results.squeezed import LENGTHS
from keel.training.known import BASELINE

Row = tuple[Any, ...]
RDF_TOLERANCE = 0.003
"""Largest deviation of omitted points from the lines between the others, relative to the highest peak of a g(r)."""
DIMER_TOLERANCE = 0.01
"""The same for asinh(E / 0.2 eV), in which dimers are drawn: 2 meV around zero, 1 % far from it."""
DIGITS_OF_CURVES = 5
OF_TEACHER = ("", "teacher")
"""Network and strategy of rows for the teacher."""


def write_tables(folder: Path, systems: Sequence[System], runs: Sequence[dict[str, Any]]) -> None:
    """Write all tables of a study into a folder, and ``runs.json``."""
    write_rows(folder, "cells", trial_rows(systems))
    write_rows(folder, "lifetimes", lifetime_rows(systems))
    write_rows(folder, "rungs", rung_rows(systems))
    write_rows(folder, "comparisons", comparison_rows(systems))
    write_rows(folder, "rdf", rdf_rows(systems), DIGITS_OF_CURVES)
    write_rows(folder, "rdf_errors", rdf_error_rows(systems))
    write_rows(folder, "dimers", dimer_rows(systems), DIGITS_OF_CURVES)
    write_rows(folder, "dimer_metrics", dimer_metric_rows(systems))
    write_rows(folder, "squeeze", squeeze_rows(systems), DIGITS_OF_CURVES)
    write_rows(folder, "contacts", contact_rows(systems), DIGITS_OF_CURVES)
    write_rows(folder, "eam", eam_rows(systems), DIGITS_OF_CURVES)
    write_json(folder / "runs.json", {**STUDY.stamp, "runs": list(runs)})


def trial_rows(systems: Sequence[System]) -> Iterator[Row]:
    """One row for each system, network, strategy and seed."""
    for system in systems:
        folders = [run.folder.name for run in system.runs for _ in run.records]
        rdf_failed = {t.key: t.rdf.failed_runs if t.rdf else None for t in system.trials}
        for folder, record in zip(folders, system.records, strict=True):
            result = StrategyResult(record.network, record.strategy, (record,))
            mean = result.survival.restricted_mean() if result.runs else None
            numbers = (getattr(record, name) for name in RECORD)
            stability = (result.runs, result.failures, result.median_fs, mean)
            failed = rdf_failed.get(record.key)
            yield folder, system.name, record.network, record.strategy, *numbers, *stability, failed


def lifetime_rows(systems: Sequence[System]) -> Iterator[Row]:
    """One row for each MD run; a survivor has no cause."""
    for record in (record for system in systems for record in system.records):
        starts = record.sources or ("",) * len(record.time_to_failure_fs)
        runs = zip(starts, record.failure_cause, record.time_to_failure_fs, strict=True)
        for number, (start, cause, time) in enumerate(runs):
            group = (record.system, record.network, record.strategy)
            # The place of the file means nothing to others.
            yield *group, Path(start).name, cause, record.seed, number, record.md_temperature_k, time


def rung_rows(systems: Sequence[System]) -> Iterator[Row]:
    """Share of runs of vanilla that failed at each temperature tried, from validation structures."""
    for system in systems:
        for network, rung in (item for run in system.runs for item in run.rungs.items()):
            for temperature, share in rung.failing_share.items():
                chosen = float(temperature) == rung.temperature_k
                yield system.name, network, float(temperature), share, int(chosen)


def comparison_rows(systems: Sequence[System]) -> Iterator[Row]:
    """Every strategy against vanilla, by system and network."""
    for system in systems:
        for network in dict.fromkeys(record.network for record in system.records):
            strategies = compare(system.records, network)
            base = next((s for s in strategies if s.strategy == BASELINE), None)
            for other in strategies:
                if base is not None and other is not base:
                    yield system.name, network, other.strategy, *_effects(base, other)


def _effects(base: StrategyResult, other: StrategyResult) -> Row:
    found, words = paired(base, other), verdict(base, other)
    if found is None:
        return words.effect, "", words.sentence, *(None,) * 12
    intervals = (found.median, found.mean, found.failed, found.force)
    return words.effect, found.bound, words.sentence, *(x for interval in intervals for x in _ends(interval))


def _ends(interval: Interval | None) -> Row:
    return (None,) * 3 if interval is None else (interval.value, interval.low, interval.high)


def rdf_rows(systems: Sequence[System]) -> Iterator[Row]:
    """g(r) of each pair: DFT, and the mean, lowest and highest of the seeds of each strategy."""
    for system in systems:
        pairs = simulated_pairs(system)
        for group, trials in system.groups().items():
            for pair in (p for p in pairs if any(p in trial.rdf_curves for trial in trials)):
                temperature = next((t.rdf.temperature_k for t in trials if t.rdf), None)
                r, columns = _rdf_over_seeds(trials, pair)
                for k in simplified(r, columns, RDF_TOLERANCE * float(columns[-1].max())):
                    yield system.name, *group, pair, temperature, float(r[k]), *(float(c[k]) for c in columns)


def simulated_pairs(system: System) -> list[str]:
    """Return the most important pairs for which most simulations lasted long enough."""
    seen = Counter(pair for trial in system.trials for pair in trial.rdf_curves)
    return system.pairs([pair for pair, trials in seen.items() if 2 * trials >= max(seen.values())])


def _rdf_over_seeds(trials: Sequence[TrialResults], pair: str) -> tuple[Array, tuple[Array, ...]]:
    """Return r, and the reference, mean, lowest and highest g(r)."""
    found = [trial.rdf_curves[pair] for trial in trials if pair in trial.rdf_curves]
    r = found[0].r
    simulated = np.stack([np.interp(r, curve.r, curve.simulation) for curve in found])
    return r, (found[0].reference, simulated.mean(axis=0), simulated.min(axis=0), simulated.max(axis=0))


def rdf_error_rows(systems: Sequence[System]) -> Iterator[Row]:
    """Errors of g(r) of each trial by pair, with those between two halves of the DFT frames."""
    for system in systems:
        for (network, strategy), trials in system.groups().items():
            for seed, rdf in ((trial.seed, trial.rdf) for trial in trials if trial.rdf):
                for pair in system.pairs(list(rdf.errors)):
                    sides = (rdf.errors, rdf.floor)
                    parts = (side.get(pair, {}).get(key) for side in sides for key in ("fu", "percent"))
                    yield system.name, network, strategy, pair, seed, rdf.temperature_k, *parts


def dimer_rows(systems: Sequence[System]) -> Iterator[Row]:
    """Dimer curves of each trial, with fewer points where they are many."""
    for system in systems:
        for group, trials in system.groups().items():
            for trial in trials:
                for pair in system.pairs(list(trial.dimer_curves)):
                    yield from ((system.name, *group, pair, trial.seed, *point) for point in _points(trial, pair))


def _points(trial: TrialResults, pair: str) -> Iterator[tuple[float, float]]:
    curve = trial.dimer_curves[pair]
    for k in simplified(curve.r, [np.arcsinh(curve.energy / LINEAR_EV)], DIMER_TOLERANCE):
        yield float(curve.r[k]), float(curve.energy[k])


def dimer_metric_rows(systems: Sequence[System]) -> Iterator[Row]:
    """Metrics of the dimer curves of each trial."""
    for system in systems:
        for group, trials in system.groups().items():
            for trial in trials:
                for pair in system.pairs(list(trial.dimer_metrics)):
                    for metric, value in trial.dimer_metrics[pair].items():
                        yield system.name, *group, pair, metric, trial.seed, value


def squeeze_rows(systems: Sequence[System]) -> Iterator[Row]:
    """Pressures of each crystal at some lengths, and where they first fall: of each teacher, and of each trial."""
    for system, run in _runs(systems):
        teacher = run.teacher_squeeze.crystals if run.teacher_squeeze else ()
        for crystal in teacher if run is system.runs[0] else ():
            yield from ((system.name, *OF_TEACHER, *row) for row in _squeezed(crystal, None, teacher))
        for trial in run.trials:
            for crystal in trial.squeezed:
                rows = _squeezed(crystal, trial.seed, teacher)
                yield from ((system.name, trial.network, trial.strategy, *row) for row in rows)


def _runs(systems: Sequence[System]) -> Iterator[tuple[System, RunResults]]:
    """Yield every run; those of one system have the same data, and so the teacher of the first."""
    yield from ((system, run) for system in systems for run in system.runs)


def _squeezed(crystal: Squeezed, seed: int | None, teacher: Sequence[Squeezed]) -> Iterator[Row]:
    own = next((other for other in teacher if other.name == crystal.name), None)
    for length in LENGTHS:
        pressures = (crystal.pressure_at(length) / GPA, None if own is None else own.pressure_at(length) / GPA)
        yield crystal.name, seed, crystal.first_fall, length, *pressures


def contact_rows(systems: Sequence[System]) -> Iterator[Row]:
    """Errors in bins of contacts that have a value: of each teacher, and of each trial."""
    for system, run in _runs(systems):
        if run is system.runs[0] and run.teacher_contacts:
            yield from ((system.name, *OF_TEACHER, *row) for row in _bins(run.teacher_contacts.quantities, None))
        for trial in run.trials:
            rows = _bins(trial.by_contact, trial.seed)
            yield from ((system.name, trial.network, trial.strategy, *row) for row in rows)


def _bins(quantities: Mapping[str, ContactErrors], seed: int | None) -> Iterator[Row]:
    names = TABLES["contacts"][1][1:]
    for quantity, errors in quantities.items():
        for row in errors.rows:
            if row["values"]:
                yield quantity, seed, *(row[name] for name in names)


def eam_rows(systems: Sequence[System]) -> Iterator[Row]:
    """The parts of each system's fitted potential for two atoms alone."""
    for system in systems:
        teacher = next((run.teacher for run in system.runs if run.teacher), None)
        decomposition = teacher.decomposition if teacher else {}
        for pair in system.pairs(list(decomposition)):
            parts = decomposition[pair]
            columns = (parts.total, parts.morse, parts.embedding, parts.density, parts.core)
            for k in range(len(parts.r)):
                yield system.name, pair, float(parts.r[k]), *(float(column[k]) for column in columns)

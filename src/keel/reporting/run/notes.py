"""Words and key numbers of the report that are computed from the results."""

from __future__ import annotations

from collections.abc import Sequence

from keel.reporting.budgets import inequality, steps_text
from keel.reporting.run.squeeze import caving_in
from keel.reporting.strategies import StrategyResult, compare, median_text, number
from keel.results.made import parts_in_words
from keel.results.run import Record, RunResults
from keel.training.known import BASELINE, METHOD, STRATEGIES, WALLS, subject_of
from keel.wording import listed


def tiles(strategies: Sequence[StrategyResult]) -> tuple[tuple[str, str, str], ...]:
    """Return (what, value of the method, value of the baseline) for the numbers that decide."""
    by_name = {s.strategy: s for s in strategies}
    base = by_name.get(BASELINE)
    method = by_name.get(METHOD) or next((s for s in strategies if s is not base), None)
    if base is None or method is None:
        return ()
    shown = []
    if base.runs and method.runs:
        shown = [
            (
                "median time to failure",
                median_text(method).replace("more than", ">"),
                median_text(base).replace("more than", ">"),
            ),
            ("runs that failed", f"{method.failures} of {method.runs}", f"{base.failures} of {base.runs}"),
        ]
    forces = [s.mean("force_mae_mev_per_angstrom") for s in (method, base)]
    shown.append(("force error", f"{number(forces[0])} meV/Å", f"{number(forces[1])} meV/Å"))
    return tuple((what, new, f"{base.strategy}: {old}") for what, new, old in shown)


def story(results: RunResults) -> list[tuple[str, str]]:
    """Return what was done as (term, description)."""
    lines = []
    if results.census:
        lines.append(("Data", _data(results)))
    if results.split:
        lines.append(("Split", _split(results)))
    if results.teacher:
        train = results.teacher.fit.get("train") or {}
        force = number(train.get("force_mae_mev_per_angstrom"))
        kind = results.teacher.fit.get("kind") or "an EAM fitted to the training frames"
        frames = "them" if kind.endswith("the training frames") else "the training frames"
        lines.append(("Teacher", f"{kind}, {force} meV/Å force error on {frames}"))
    strategies = list(dict.fromkeys(r.strategy for r in results.records))
    seeds = list(dict.fromkeys(r.seed for r in results.records))
    lines.append(
        (
            "Networks",
            f"{', '.join(results.networks)}, each trained as {', '.join(strategies)} from {_count(len(seeds), 'seed')}",
        )
    )
    lines.append(("Budget", _budget(results.records)))
    if (dynamics := _dynamics(results)) is not None:
        lines.append(("Stability", dynamics))
    return lines


def remarks(results: RunResults) -> list[str]:
    """Return what a careful reader must know: absent stages, unequal budgets, an unreached temperature."""
    notes, reference = list(results.split.get("leaks", ())), _reference(results.records)
    for network, rung in results.rungs.items():
        if not rung.reached:
            notes.append(
                f"{network}: {reference} did not fail in half of its validation runs at any temperature tried; the "
                f"comparison is at the last, {rung.temperature_k:g} K."
            )
    for network in results.networks:
        if caving := caving_in([t for t in results.trials if t.network == network]):
            notes.append(
                f"{network}: under compression crystals cave in with {listed(caving)}; simulations show it only if "
                "they get there."
            )
        strategies = compare(results.records, network)
        if (enough := _walls_are_enough(strategies)) is not None:
            notes.append(f"{network}: {enough}.")
        own = [record for record in results.records if record.network == network]
        if (unequal := inequality(own, [results.configuration])) is not None:
            notes.append(f"{network}: {unequal}.")
        lengths = {s.length_fs for s in strategies if s.runs}
        temperatures = {t for s in strategies for t in s.values("md_temperature_k")}
        if len(lengths) > 1 or len(temperatures) > 1:
            notes.append(
                f"{network}: the MD runs differ in length ({_list(lengths)} fs) or temperature "
                f"({_list(temperatures)} K)."
            )
        if any(len(s.records) == 1 for s in strategies):
            notes.append(f"{network}: only one seed; the spread between trainings is unknown.")
    return notes + _absent(results)


def _walls_are_enough(strategies: Sequence[StrategyResult]) -> str | None:
    """Return what the walls alone achieve, where no more of their runs failed than after pretraining."""
    by_name = {s.strategy: s for s in strategies if s.runs}
    walls, method = by_name.get(WALLS), by_name.get(METHOD)
    if walls is None or method is None or walls.failures * method.runs > method.failures * walls.runs:
        return None
    errors = [number(s.mean("force_mae_mev_per_angstrom")) for s in (walls, method)]
    return (
        f"with {subject_of(WALLS)}, without pretraining, {walls.failures} of {walls.runs} runs failed (with "
        f"{subject_of(METHOD)} {method.failures} of {method.runs}), at a force error of {errors[0]} meV/Å "
        f"({errors[1]}); errors, close contacts and compression show what pretraining adds"
    )


def _absent(results: RunResults) -> list[str]:
    stages = {
        "the teacher": results.teacher is None,
        "the census of the data": not results.census,
        "training curves": not any(t.training for t in results.trials),
        "parity": not any(t.parity for t in results.trials),
        "stability": not any(r.time_to_failure_fs for r in results.records),
        "crystals under compression": not any(t.squeezed for t in results.trials),
        "radial distribution functions": not any(t.rdf for t in results.trials),
        "dimer curves": not any(t.dimers for t in results.trials),
    }
    absent = [name for name, missing in stages.items() if missing]
    return [f"Not part of this run: {', '.join(absent)}."] if absent else []


def _data(results: RunResults) -> str:
    census = results.census
    elements = ", ".join(map(str, census.get("elements", {})))
    return f"{census['frames']:,} frames, {census.get('atoms', 0):,} atoms ({elements}) with DFT labels"


def _split(results: RunResults) -> str:
    split = results.split
    counts = (
        f"{split['train']} training frames, {split.get('validation', 0)} validation frames (to choose the "
        f"weights), {split['test']} test frames"
    )
    if split.get("groups"):
        counts = "; ".join(parts_in_words(split))
    return (
        f"{counts}. {split['description']}" if split.get("description") else f"{counts} (by {split.get('by', 'frame')})"
    )


def _budget(records: Sequence[Record]) -> str:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.strategy, []).append(record)
    steps = "; ".join(f"{strategy} {steps_text(found)}" for strategy, found in groups.items())
    return f"optimiser steps of pretraining + afterwards: {steps}"


def _dynamics(results: RunResults) -> str | None:
    tested = [r for r in results.records if r.time_to_failure_fs]
    if not tested:
        return None
    first = tested[0]
    ladder = (
        f"; the temperature is the lowest at which half of the runs of {_reference(results.records)} from "
        "validation structures failed"
    )
    chosen = ladder if any(rung.reached for rung in results.rungs.values()) else ""
    return (
        f"{_count(len(first.time_to_failure_fs), 'Langevin run')} of each network from test structures at "
        f"{number(first.md_temperature_k)} K, up to {number(first.md_length_fs)} fs, in steps of "
        f"{number(first.md_timestep_fs)} fs, friction "
        f"{number(first.md_friction_per_fs)}/fs{chosen}"
    )


def _reference(records: Sequence[Record]) -> str:
    """Return in words whose failures chose the temperature."""
    first = records[0].strategy
    if first == BASELINE or any(record.strategy == BASELINE for record in records):
        return BASELINE
    goes_on = first in STRATEGIES and STRATEGIES[first].after is not None
    return "the network as it was given" if goes_on else first


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' if n != 1 else ''}"


def _list(values: set[float] | set[int]) -> str:
    return ", ".join(f"{value:g}" for value in sorted(values))

"""Measuring potentials: accuracy, stability, RDF, dimers; each leaves files in its folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from keel.atoms.frame import Frame
from keel.atoms.selecting import select
from keel.atoms.splits import Keys, evenly, group_members
from keel.config import EvaluationSettings, StabilitySettings
from keel.dynamics import StabilityResult, find_rung, simulate, stability
from keel.dynamics.stability import failed_of
from keel.evaluation import RDF, accuracy, close_contacts, dimers, rdf, rdf_error, rdf_error_percent, squeeze
from keel.evaluation.labels.by_contact import errors_by_contact
from keel.evaluation.structure.rdf import mean_rdf
from keel.potentials import Potential
from keel.potentials.accuracy import Parity
from keel.potentials.batches import known_to
from keel.progress import bar
from keel.results.made import RungChoice
from keel.results.measured import (
    Contacts,
    Dimer,
    Dimers,
    Errors,
    RadialDistribution,
    RadialDistributions,
    Squeeze,
    StabilityRuns,
)

BETWEEN_LOOKS_FS = 20.0
"""Time between two checks of the closest contacts in simulations."""
BETWEEN_FRAMES_FS = 10.0
"""Time between two structures used for g(r)."""


def measure_accuracy(folder: Path, potential: Potential, frames: Sequence[Frame]) -> None:
    """Compare predictions with the labels of the test frames."""
    result = accuracy(potential, frames)
    quantities = {"energy": result.energy, "forces": result.forces, "stress": result.stress}
    Errors(result.to_dict(), {name: _sample(parity) for name, parity in quantities.items()}).write(folder)


def measure_contacts(folder: Path, potential: Potential, frames: Sequence[Frame]) -> None:
    """Divide the errors on the test frames whose elements the potential knows by how close atoms are."""
    known = known_to(potential, frames)
    Contacts(errors_by_contact(accuracy(potential, known), known).quantities if known else {}).write(folder)


def _sample(parity: Parity) -> Parity:
    """Return this many points of a parity plot, evenly spread."""
    pairs = list(zip(parity.reference.ravel(), parity.prediction.ravel(), strict=True))
    return Parity(*np.array(evenly(pairs, 1500)).reshape(-1, 2).T)


def choose_rung(
    folder: Path, potentials: Sequence[Potential], starts: Sequence[Frame], settings: StabilitySettings, title: str
) -> None:
    """Find the lowest temperature at which vanilla fails in half its runs, and how long the runs must be."""
    runs = -(-settings.runs // len(potentials))
    starts = evenly(starts, runs)
    with bar(f"     rung  {title}", 0) as advance:
        rung = find_rung(
            potentials,
            starts,
            settings.md(min(settings.temperatures), settings.rung_fs or settings.length_fs),
            ladder=settings.temperatures,
            n_runs=runs,
            callback=lambda done, total: advance(done, total, "lowest temperature at which half the runs fail"),
        )
    wanted = max(settings.length_fs, rung.length_fs() or 0.0)
    RungChoice(
        temperature_k=rung.temperature or max(settings.temperatures),
        length_fs=min(wanted, settings.longest_fs),
        reached=rung.temperature is not None,
        failing_share={f"{t:g}": _failing_share(results) for t, results in rung.tried},
        median_fs=rung.median,
        ladder_k=settings.temperatures,
    ).write(folder)


def measure_stability(
    folder: Path,
    potential: Potential,
    starts: Sequence[Frame],
    rung: RungChoice,
    settings: StabilitySettings,
    title: str,
) -> None:
    """Simulate from test structures until each run fails or ends; keep the frame before each failure."""
    starts = evenly(starts, settings.runs)
    every = max(1, round(BETWEEN_LOOKS_FS / settings.timestep_of(starts)))
    with bar(f"stability  {title}", 0) as advance:
        result = stability(
            potential,
            starts,
            settings.md(rung.temperature_k, rung.length_fs).replace(record_every=every),
            n_runs=settings.runs,
            callback=lambda done, total: advance(done, total, f"at {rung.temperature_k:g} K"),
        )
    contacts = close_contacts(state.frame for run in result.trajectories for state in run.snapshots)
    sources = [starts[k % len(starts)].source for k in range(settings.runs)]
    StabilityRuns(
        **result.to_dict(),
        sources=sources,
        close_contacts_per_1000_atoms=contacts,
        failures=_last_frames(result, sources),
    ).write(folder)


def measure_rdf(
    folder: Path,
    potential: Potential,
    frames: Sequence[Frame],
    evaluation: EvaluationSettings,
    settings: StabilitySettings,
    title: str,
    by: Keys | None = None,
) -> None:
    """Compare g(r) of MD at the data's own temperature with that of DFT frames of the structures it starts from.

    Structures are the groups ``by``; all have the same weight, on either side. The first third of each run is left out;
    a run that fails counts until then. How far two halves of the DFT frames are apart, the earlier and the later of
    each structure, is the lowest error to be expected of a simulation.
    """
    numbers = evenly(range(len(frames)), evaluation.rdf_runs)
    starts, temperature = [frames[k] for k in numbers], evaluation.rdf_temperature
    assert temperature is not None
    every = max(1, round(BETWEEN_FRAMES_FS / settings.timestep_of(starts)))
    with bar(f"      rdf  {title}", 0) as advance:
        runs = simulate(
            potential,
            starts,
            settings.md(temperature, evaluation.rdf_length_fs).replace(record_every=every),
            callback=lambda done, total: advance(done, total, f"at {temperature:g} K"),
        )
    settled = [[s.frame for s in run.snapshots if s.time >= evaluation.rdf_length_fs / 3] for run in runs]
    known, moved = _by_structure(frames, numbers, settled, by)
    simulated, reference, floor = _rdf_of(moved), None, {}
    if evaluation.rdf_reference:
        reference = _rdf_of(known)
        divided = [group for group in known if len(group) > 1]
        floor = _differences(*(_rdf_of(map(half, divided)) for half in (_earlier, _later)))
    RadialDistributions(
        temperature_k=temperature,
        failed_runs=sum(not r.survived for r in runs),
        errors=_differences(reference, simulated),
        floor=floor,
        curves=_curves(reference, simulated),
    ).write(folder)


def measure_dimers(folder: Path, potential: Potential, pairs: Sequence[tuple[int, int]]) -> None:
    """Curves of pairs of elements, with their metrics."""
    curves = dimers(potential, pairs=pairs)
    Dimers(
        {name: Dimer(curve.r, curve.energy, curve.force) for name, curve in curves.items()},
        {name: curve.metrics() for name, curve in curves.items()},
    ).write(folder)


def measure_squeeze(folder: Path, potential: Potential, crystals: Sequence[Frame]) -> None:
    """Squeeze the crystals whose elements the potential knows."""
    Squeeze(squeeze(potential, known_to(potential, crystals))).write(folder)


def _by_structure(
    frames: Sequence[Frame], starts: Sequence[int], moved: Sequence[Sequence[Frame]], by: Keys | None
) -> tuple[list[Sequence[Frame]], list[Sequence[Frame]]]:
    """Return the frames of each structure that a run starts from, and those of its runs; starts are given by number."""
    groups = [list(range(len(frames)))] if by is None else list(group_members(frames, by).values())
    known, simulated = list[Sequence[Frame]](), list[Sequence[Frame]]()
    for group in groups:
        own = [run for start, run in zip(starts, moved, strict=True) if start in group]
        if own:
            known.append(select(frames, group))
            simulated.append([frame for run in own for frame in run])
    return known, simulated


def _earlier(frames: Sequence[Frame]) -> Sequence[Frame]:
    return frames[: len(frames) // 2]


def _later(frames: Sequence[Frame]) -> Sequence[Frame]:
    return frames[len(frames) // 2 :]


def _rdf_of(structures: Iterable[Sequence[Frame]]) -> RDF | None:
    """Return the mean g(r) of structures that have frames, None if none has."""
    members = [rdf(frames) for frames in structures if frames]
    return mean_rdf(members) if members else None


def _differences(reference: RDF | None, other: RDF | None) -> dict[str, dict[str, float]]:
    """Return how far two sets of g(r) are apart, by pair; empty where one is unknown."""
    if reference is None or other is None:
        return {}
    fu, percent = rdf_error(reference, other), rdf_error_percent(reference, other)
    return {pair: {"fu": fu[pair], "percent": percent[pair]} for pair in reference.pairs if pair in fu}


def _curves(reference: RDF | None, simulated: RDF | None) -> dict[str, RadialDistribution]:
    """Return g(r) of each pair; NaN where there is no reference."""
    if simulated is None:
        return {}
    unknown = np.full(len(simulated.r), np.nan)
    known = {} if reference is None else reference.g
    return {
        pair: RadialDistribution(simulated.r, known.get(pair, unknown), simulated.g[pair]) for pair in simulated.pairs
    }


def _failing_share(results: Sequence[StabilityResult]) -> float:
    failed = failed_of(results)
    return sum(failed) / len(failed)


def _last_frames(result: StabilityResult, sources: Sequence[str]) -> list[Frame]:
    """Return the frame before failure of each run that failed, with the potential's own energy and forces."""
    frames = []
    for run, source in zip(result.trajectories, sources, strict=True):
        if not run.survived:
            info = {"run": run.run, "time_fs": run.time, "cause": run.cause, "start": source}
            frames.append(run.last.frame.replace(info=info))
    return frames

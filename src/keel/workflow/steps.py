"""The work of each stage: takes what earlier stages made, leaves files in its folder."""

from __future__ import annotations

import csv
import math
import resource
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any, TypeVar

import torch

from keel.atoms.elements import pair_name
from keel.atoms.frame import Frame
from keel.atoms.splits import Split
from keel.atoms.write import write
from keel.config import EvaluationSettings, NetworkSettings, RunSettings, StabilitySettings, TeacherSettings
from keel.dynamics import StabilityResult, find_rung, simulate, stability
from keel.dynamics.simulate import default_timestep
from keel.errors import ConfigError
from keel.evaluation import accuracy, dimer_curve, dimers, rdf, rdf_error, rdf_error_percent
from keel.files import replace_file
from keel.fitting import fit_eam, label_errors
from keel.potentials import Potential, load
from keel.potentials.dimer import dimer
from keel.potentials.network import Network
from keel.progress import bar
from keel.training import train
from keel.workflow.cache import write_json

Item = TypeVar("Item")

STABILITY_FIELDS = (
    "md_temperature_k",
    "md_timestep_fs",
    "md_friction_per_fs",
    "md_length_fs",
    "time_to_failure_fs",
    "failure_cause",
)


def fit_teacher(folder: Path, settings: TeacherSettings, split: Split) -> None:
    """Fit the EAM to the training frames, or copy the given potential, and note its errors on all frames."""
    started = time.perf_counter()
    warnings: Sequence[str] = ()
    without_data: Sequence[str] = ()
    if settings.file is not None:
        teacher = load(settings.file)
    else:
        fit = fit_eam(split.train, cutoff=settings.cutoff, zbl=settings.zbl)
        teacher, warnings, without_data = fit.potential, fit.warnings, fit.pairs_without_data
    seconds = time.perf_counter() - started
    teacher.save(str(folder / "teacher.json"))
    errors = {
        part: label_errors(teacher, frames).to_dict() for part, frames in (("train", split.train), ("test", split.test))
    }
    notes = {"warnings": list(warnings), "pairs_without_data": list(without_data), "seconds": round(seconds, 2)}
    write_json(folder / "fit.json", {**errors, **notes})
    write_decomposition(folder / "decomposition.csv", teacher)


def build_network(settings: NetworkSettings, elements: Sequence[int], seed: int) -> Network:
    """Return a new network with weights of a seed.

    Raises
    ------
    ConfigError
        If there is no such class, or an argument does not fit it.
    """
    cls = Potential.registry.get(settings.architecture)
    if cls is None or not issubclass(cls, Network):
        known = sorted(n for n, c in Potential.registry.items() if issubclass(c, Network) and c is not Network)
        raise ConfigError(f"networks: there is no {settings.architecture!r}; choose from {', '.join(known)}")
    torch.manual_seed(seed)
    try:
        return cls(elements=elements, **settings.arguments)
    except TypeError as error:
        raise ConfigError(f"networks: {settings.architecture}: {str(error).split(') ')[-1]}") from None


def train_network(
    folder: Path, config: RunSettings, network: NetworkSettings, strategy: str, seed: int, split: Split, teacher: Path
) -> None:
    """Train one network with one strategy; goes on from a checkpoint."""
    model = build_network(network, elements_of([*split.train, *split.validation, *split.test]), seed)
    title = f"    train  {network.label}-{strategy}-seed{seed}"
    with bar(title, config.training.steps) as advance:
        result = train(
            model,
            split.train,
            strategy=config.strategy(strategy),
            teacher=load(teacher / "teacher.json"),
            validation=split.validation,
            settings=config.training,
            perturbation=config.perturbation,
            seed=seed,
            folder=folder,
            on_step=lambda row: advance(
                row["taken"], config.training.steps, f"{row['stage']}, loss {row['total']:.3f}"
            ),
        )
    result.potential.save(str(folder / "potential.safetensors"))
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    cost = {
        "pretrain_steps": result.pretrain_steps,
        "train_steps": result.train_steps,
        "gradient_evaluations": result.gradient_evaluations,
        "seconds": result.seconds,
        "peak_memory_mb": peak_memory_mb(),
    }
    write_json(folder / "training.json", cost)


def measure_accuracy(folder: Path, potential: Potential, frames: Sequence[Frame]) -> None:
    """Compare predictions with the labels of the test frames."""
    result = accuracy(potential, frames)
    write_json(folder / "accuracy.json", finite(result.to_dict()))
    rows = [
        (quantity, f"{reference:.7g}", f"{prediction:.7g}")
        for quantity, parity in (("energy", result.energy), ("forces", result.forces), ("stress", result.stress))
        for reference, prediction in evenly(
            list(zip(parity.reference.ravel(), parity.prediction.ravel(), strict=True)), 1500
        )
    ]
    write_csv(folder / "parity.csv", ("quantity", "reference", "prediction"), rows)


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
            length_fs=settings.length_fs,
            ladder=settings.temperatures,
            n_runs=runs,
            **md_arguments(settings),
            callback=lambda done, total: advance(done, total, "lowest temperature at which half the runs fail"),
        )
    wanted = max(settings.length_fs, rung.length() or 0.0)
    content = {
        "temperature_k": rung.temperature or max(settings.temperatures),
        "length_fs": min(wanted, settings.longest_fs),
        "reached": rung.temperature is not None,
        "failing_share": {f"{t:g}": _failing_share(results) for t, results in rung.tried},
        "median_fs": rung.median,
        "ladder_k": settings.temperatures,
    }
    write_json(folder / "rung.json", content)


def measure_stability(
    folder: Path,
    potential: Potential,
    starts: Sequence[Frame],
    rung: dict[str, Any],
    settings: StabilitySettings,
    title: str,
) -> None:
    """Simulate from test structures until each run fails or ends; keep the frame before each failure."""
    starts = evenly(starts, settings.runs)
    with bar(f"stability  {title}", 0) as advance:
        result = stability(
            potential,
            starts,
            temperature=rung["temperature_k"],
            length_fs=rung["length_fs"],
            n_runs=settings.runs,
            **md_arguments(settings),
            callback=lambda done, total: advance(done, total, f"at {rung['temperature_k']:g} K"),
        )
    sources = [starts[k % len(starts)].source for k in range(settings.runs)]
    write_json(folder / "stability.json", result.to_dict() | {"sources": sources})
    failures = _last_frames(result, sources)
    path = folder / "failures.extxyz"
    if failures:
        write(path, failures)
    else:
        path.touch()


def measure_rdf(
    folder: Path,
    potential: Potential,
    frames: Sequence[Frame],
    evaluation: EvaluationSettings,
    settings: StabilitySettings,
    title: str,
) -> None:
    """Compare g(r) of MD at the data's own temperature with that of the DFT frames that it starts from.

    The first third of each run is left out; a run that fails counts until then.
    """
    starts = evenly(frames, evaluation.rdf_runs)
    temperature = evaluation.rdf_temperature
    assert temperature is not None
    timestep = settings.timestep_fs or default_timestep(starts)
    with bar(f"      rdf  {title}", 0) as advance:
        runs = simulate(
            potential,
            starts,
            temperature=temperature,
            steps=round(evaluation.rdf_length_fs / timestep),
            record_every=max(1, round(10.0 / timestep)),
            **md_arguments(settings),
            callback=lambda done, total: advance(done, total, f"at {temperature:g} K"),
        )
    recorded = [s.frame for run in runs for s in run.snapshots if s.time >= evaluation.rdf_length_fs / 3]
    content: dict[str, Any] = {"temperature_k": temperature, "failed_runs": sum(not r.survived for r in runs)}
    if recorded:
        reference, simulated = rdf(frames), rdf(recorded)
        fu, percent = rdf_error(reference, simulated), rdf_error_percent(reference, simulated)
        content["errors"] = {pair: {"fu": fu[pair], "percent": percent[pair]} for pair in reference.pairs}
        rows = [
            (pair, r, g, h)
            for pair in reference.pairs
            for r, g, h in zip(reference.r, reference.g[pair], simulated.g[pair], strict=True)
        ]
        write_csv(folder / "rdf.csv", ("pair", "r", "reference", "simulation"), rows)
    else:
        content["errors"] = {}
        write_csv(folder / "rdf.csv", ("pair", "r", "reference", "simulation"), [])
    write_json(folder / "rdf.json", content)


def measure_dimers(folder: Path, potential: Potential) -> None:
    """Curves of every pair of elements, with their metrics."""
    curves = dimers(potential)
    rows = [
        (name, f"{r:.6g}", f"{e:.9g}", f"{f:.9g}")
        for name, curve in curves.items()
        for r, e, f in zip(curve.r, curve.energy, curve.force, strict=True)
    ]
    write_csv(folder / "dimers.csv", ("pair", "r", "energy", "force"), rows)
    metrics = {name: curve.metrics() for name, curve in curves.items()}
    write_json(folder / "dimers.json", finite(metrics))


def write_decomposition(path: Path, teacher: Potential) -> None:
    """Write the energy of two atoms of each pair of elements, and what it consists of if the teacher is an EAM."""
    distances = torch.arange(0.1, 8.0 + 1e-9, 0.02, dtype=torch.float64)
    rows: list[tuple[Any, ...]] = []
    for a, b in combinations_with_replacement(teacher.elements or (), 2):
        try:
            d = dimer(teacher.double(), a, b, distances)
        except ConfigError:
            curve = dimer_curve(teacher.double(), a, b, distances.numpy())
            rows += [
                (curve.name, f"{r:.6g}", f"{e:.9g}", "", "", "", "") for r, e in zip(curve.r, curve.energy, strict=True)
            ]
            continue
        columns = (d.distance, d.total, d.morse, d.embedding, d.density.mean(dim=0), d.core)
        rows += [(pair_name(a, b), *(f"{x:.9g}" for x in row)) for row in torch.stack(columns, dim=1).tolist()]
    write_csv(path, ("pair", "r", "total", "morse", "embedding", "density", "core"), rows)


def elements_of(frames: Iterable[Frame]) -> list[int]:
    """Return the atomic numbers that occur, ascending."""
    return sorted({int(z) for f in frames for z in set(f.numbers.tolist())})


def evenly(items: Sequence[Item], n: int) -> list[Item]:
    """Return at most n items, evenly spread over the sequence."""
    n = min(n, len(items))
    return [items[(2 * k + 1) * len(items) // (2 * n)] for k in range(n)]


def md_arguments(settings: StabilitySettings) -> dict[str, Any]:
    """Return the settings that every run shares."""
    return {
        "timestep": settings.timestep_fs,
        "friction": settings.friction_per_fs,
        "seed": settings.seed,
        "max_atoms": settings.max_atoms,
    }


def peak_memory_mb() -> float:
    """Return the largest resident size of this process so far in MB."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return round(size / (2**20 if sys.platform == "darwin" else 2**10), 1)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows as CSV completely or not at all."""

    def fill(temporary: Path) -> None:
        with temporary.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)

    replace_file(path, fill)


def finite(content: Any) -> Any:
    """Return JSON content with None for every number that is not finite, which JSON cannot hold."""
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _failing_share(results: Sequence[StabilityResult]) -> float:
    causes = [c for r in results for c in r.causes]
    return sum(c is not None for c in causes) / len(causes)


def _last_frames(result: StabilityResult, sources: Sequence[str]) -> list[Frame]:
    """Return the frame before failure of each run that failed, with the potential's own energy and forces."""
    frames = []
    for run, source in zip(result.trajectories, sources, strict=True):
        if not run.survived:
            info = {"run": run.run, "time_fs": run.time, "cause": run.cause, "start": source}
            frames.append(run.last.frame.replace(info=info))
    return frames

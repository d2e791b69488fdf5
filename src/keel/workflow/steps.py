"""The work of each stage: takes what earlier stages made, leaves files in its folder."""

from __future__ import annotations

import csv
import resource
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from keel.atoms.frame import Frame
from keel.atoms.splits import Split
from keel.atoms.write import write
from keel.config import EvaluationSettings, MDSettings, NetworkSettings, RunSettings, TeacherSettings
from keel.dynamics import StabilityResult, find_rung, simulate, stability
from keel.errors import ConfigError
from keel.evaluation import accuracy, dimer_curves, rdf, rdf_error_fu, rdf_error_percent
from keel.files import replace_file
from keel.fitting import fit_eam, label_errors
from keel.potentials import Potential, load
from keel.potentials.network import Network
from keel.progress import bar
from keel.training import train
from keel.workflow.cache import write_json


def fit_teacher(folder: Path, settings: TeacherSettings, split: Split, seed: int) -> None:
    """Fit the EAM to the training frames, or copy the given potential, and note its errors on all frames."""
    warnings: Sequence[str] = ()
    without_data: Sequence[str] = ()
    if settings.file is not None:
        teacher = load(settings.file)
    else:
        fit = fit_eam(split.train, cutoff=settings.cutoff, zbl=settings.zbl, seed=seed)
        teacher, warnings, without_data = fit.potential, fit.warnings, fit.pairs_without_data
    teacher.save(str(folder / "teacher.json"))
    errors = {
        part: label_errors(teacher, frames).to_dict()
        for part, frames in (("train", split.train), ("test", split.test))
    }
    write_json(folder / "fit.json", {**errors, "warnings": list(warnings), "pairs_without_data": list(without_data)})
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
            on_step=lambda row: advance(f"{row['stage']}, loss {row['total']:.3f}"),
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
    write_json(folder / "accuracy.json", result.to_dict())
    write_csv(folder / "parity.csv", ("quantity", "reference", "prediction"), result.parity(most=4000))


def choose_rung(
    folder: Path, potentials: Sequence[Potential], starts: Sequence[Frame], settings: MDSettings
) -> None:
    """Find the lowest temperature at which vanilla fails in half its runs, and how long the runs must be."""
    runs = -(-settings.runs // len(potentials))
    with bar("     rung", 1) as _:
        rung = find_rung(
            potentials,
            evenly(starts, runs),
            length_fs=settings.length_fs,
            ladder=settings.temperatures,
            n_runs=runs,
            **md_arguments(settings),
        )
    wanted = max(settings.length_fs, rung.length() or 0.0)
    shares = {f"{t:g}": _failing_share(results) for t, results in rung.tried}
    content = {
        "temperature_k": rung.temperature or max(settings.temperatures),
        "length_fs": min(wanted, settings.longest_fs),
        "reached": rung.temperature is not None,
        "failing_share": shares,
        "median_fs": rung.median,
        "ladder_k": settings.temperatures,
    }
    write_json(folder / "rung.json", content)


def measure_stability(
    folder: Path, potential: Potential, starts: Sequence[Frame], rung: dict[str, Any], settings: MDSettings, title: str
) -> None:
    """Simulate from test structures until each run fails or ends; keep the frame before each failure."""
    starts = evenly(starts, settings.runs)
    with bar(f"stability  {title}", 1) as _:
        result = stability(
            potential,
            starts,
            temperature=rung["temperature_k"],
            length_fs=rung["length_fs"],
            n_runs=settings.runs,
            **md_arguments(settings),
        )
    content = result.to_dict() | {"sources": [starts[k % len(starts)].source for k in range(settings.runs)]}
    write_json(folder / "stability.json", content)
    write(folder / "failures.extxyz", _failures(result))


def measure_rdf(
    folder: Path, potential: Potential, starts: Sequence[Frame], reference: Sequence[Frame], settings: EvaluationSettings, md: MDSettings
) -> None:
    """Compare the RDF of MD at the data's temperature with that of the DFT frames."""


def measure_dimers(folder: Path, potential: Potential) -> None:
    """Curves of every pair of elements, with their metrics."""
    curves = dimer_curves(potential)
    rows = [(c.pair, r, e, f) for c in curves for r, e, f in zip(c.distance, c.energy, c.force, strict=True)]
    write_csv(folder / "dimers.csv", ("pair", "r", "energy", "force"), rows)
    write_json(folder / "dimers.json", {c.pair: c.metrics() for c in curves})


def write_decomposition(path: Path, teacher: Potential) -> None:
    """Write what the teacher's dimers consist of."""


def elements_of(frames: Iterable[Frame]) -> list[int]:
    """Return the atomic numbers that occur, ascending."""
    return sorted({int(z) for f in frames for z in set(f.numbers.tolist())})


def evenly(frames: Sequence[Frame], n: int) -> list[Frame]:
    """Return at most n frames, evenly spread over the sequence."""
    n = min(n, len(frames))
    return [frames[(2 * k + 1) * len(frames) // (2 * n)] for k in range(n)]


def md_arguments(settings: MDSettings) -> dict[str, Any]:
    """Return the settings that every run shares."""
    return {"timestep": settings.timestep_fs, "friction": settings.friction_per_fs, "seed": settings.seed}


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


def _failing_share(results: Sequence[StabilityResult]) -> float:
    causes = [c for r in results for c in r.causes]
    return sum(c is not None for c in causes) / len(causes)


def _failures(result: StabilityResult) -> list[Frame]:
    return []

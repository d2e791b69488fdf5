"""What makes potentials: the teacher is fitted, networks are built and trained; each leaves files in its folder."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterable, Sequence
from inspect import isabstract
from pathlib import Path
from typing import Any

import torch

from keel.atoms.elements import pair_name
from keel.atoms.frame import Frame
from keel.atoms.splits import Split
from keel.config import NetworkSettings, RunSettings, TeacherSettings
from keel.errors import ConfigError, DataError
from keel.evaluation import accuracy, dimer_curve
from keel.fitting import fit_eam
from keel.potentials import ASEPotential, Potential, load
from keel.potentials.classical.dimer import dimer
from keel.potentials.networks.network import Network
from keel.progress import bar
from keel.results.writing import finite, write_csv, write_json
from keel.training import train
from keel.training.strategies import steps_of


def fit_teacher(folder: Path, settings: TeacherSettings, split: Split, pairs: Sequence[tuple[int, int]]) -> None:
    """Fit the EAM to the training frames, or take what is given instead; note its errors and the parts of dimers."""
    started = time.perf_counter()
    warnings: Sequence[str] = ()
    without_data: Sequence[str] = ()
    if settings.file is not None or settings.calculator is not None:
        teacher = given_teacher(settings)
    else:
        fit = fit_eam(split.train, cutoff=settings.cutoff, zbl=settings.zbl)
        teacher, warnings, without_data = fit.potential, fit.warnings, fit.pairs_without_data
    seconds = time.perf_counter() - started
    if settings.calculator is None:
        teacher.save(str(folder / ("teacher.json" if teacher.closed_form else "teacher.safetensors")))
    parts = {name: _known_to(teacher, frames) for name, frames in (("train", split.train), ("test", split.test))}
    errors = {name: accuracy(teacher, frames).to_dict() for name, frames in parts.items() if frames}
    notes = {"warnings": list(warnings), "pairs_without_data": list(without_data), "seconds": round(seconds, 2)}
    write_json(folder / "fit.json", finite({**errors, **notes}))
    known = [pair for pair in pairs if teacher.elements is None or set(pair) <= set(teacher.elements)]
    write_decomposition(folder / "decomposition.csv", teacher, known)


def _known_to(potential: Potential, frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames all elements of which a potential knows."""
    return [f for f in frames if potential.elements is None or set(f.numbers.tolist()) <= set(potential.elements)]


def given_teacher(settings: TeacherSettings) -> Potential:
    """Return the potential that the settings name by its file or calculator."""
    if settings.calculator is not None:
        return ASEPotential(settings.calculator, settings.arguments)
    return load(str(settings.file))


def load_teacher(folder: Path, settings: TeacherSettings) -> Potential:
    """Return the teacher of a finished stage."""
    if settings.calculator is not None:
        return given_teacher(settings)
    closed_form = folder / "teacher.json"
    return load(closed_form if closed_form.is_file() else folder / "teacher.safetensors")


def build_network(settings: NetworkSettings, elements: Sequence[int], seed: int) -> Network:
    """Return a new network with weights of a seed, or a trained one from its file.

    Raises
    ------
    ConfigError
        If there is no such class, or an argument does not fit it.
    DataError
        If the file holds no network.
    """
    if settings.start is not None:
        trained = load(settings.start)
        if not isinstance(trained, Network):
            raise DataError(f"{settings.start}: a {type(trained).__name__} cannot be trained; start from a network")
        return trained.to(torch.get_default_dtype())
    cls = Potential.registry.get(settings.class_name)
    if cls is None or not issubclass(cls, Network):
        known = sorted(n for n, c in Potential.registry.items() if issubclass(c, Network) and not isabstract(c))
        raise ConfigError(f"networks: there is no {settings.class_name!r}; choose from {', '.join(known)}")
    torch.manual_seed(seed)
    try:
        return cls(elements=elements, **settings.arguments)
    except TypeError as error:
        raise ConfigError(f"networks: {settings.class_name}: {str(error).split(') ')[-1]}") from None


def train_network(
    folder: Path,
    config: RunSettings,
    network: NetworkSettings,
    strategy: str,
    seed: int,
    split: Split,
    *,
    teacher: Path | None = None,
    before: Path | None = None,
) -> None:
    """Train one network with one strategy; goes on from a checkpoint.

    ``before`` is the folder in which the network that it starts from was trained; what that cost is added.
    """
    model = build_network(network, elements_of([*split.train, *split.validation, *split.test]), seed)
    title, settings = f"    train  {network.label}-{strategy}-seed{seed}", config.training_of(network)
    steps = steps_of(config.strategy(strategy), settings)
    with bar(title, steps) as advance:
        result = train(
            model,
            split.train,
            strategy=config.strategy(strategy),
            teacher=None if teacher is None else load_teacher(teacher, config.teacher),
            validation=split.validation,
            settings=settings,
            perturbation=config.perturbation,
            seed=seed,
            folder=folder,
            fresh=network.start is None,
            on_step=lambda row: advance(row["taken"], steps, f"{row['stage']}, loss {row['total']:.3f}"),
        )
    result.potential.save(str(folder / "potential.safetensors"))
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    earlier = {} if before is None else json.loads((before / "training.json").read_text())
    names = ("pretrain_steps", "train_steps", "gradient_evaluations", "seconds")
    cost = {name: getattr(result, name) + earlier.get(name, 0) for name in names}
    write_json(folder / "training.json", {**cost, "peak_memory_mb": peak_memory_mb()})


def write_decomposition(path: Path, teacher: Potential, pairs: Iterable[tuple[int, int]]) -> None:
    """Write the energy of two atoms of each pair, and what it consists of if the teacher is an EAM."""
    distances = torch.arange(0.1, 8.0 + 1e-9, 0.02, dtype=torch.float64)
    rows: list[tuple[Any, ...]] = []
    for a, b in pairs:
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


def peak_memory_mb() -> float:
    """Return the largest resident size of this process so far in MB."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return round(size / (2**20 if sys.platform == "darwin" else 2**10), 1)

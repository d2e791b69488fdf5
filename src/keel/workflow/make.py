"""Making potentials: fitting the teacher, building and training networks; each leaves files in its folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from keel.atoms.elements import pair_name
from keel.atoms.selecting import elements_in, in_memory, joined
from keel.atoms.splits import Split
from keel.config import NetworkSettings, RunSettings, TeacherSettings
from keel.errors import ConfigError, DataError
from keel.evaluation import accuracy, dimer_curve
from keel.fitting import fit_eam
from keel.fitting.held_out import ENERGY_WEIGHT
from keel.fitting.teachers import EAM, fitted, teacher_of
from keel.fitting.worth import doubts
from keel.identity import of_file, of_named_files, of_text
from keel.kinds import TRAINED
from keel.plugins import source_of
from keel.potentials import Potential, load, open_potential
from keel.potentials.batches import known_to
from keel.potentials.classical.dimer import dimer
from keel.potentials.external.opening import contents
from keel.potentials.external.torchsim import around
from keel.potentials.networks.clamped import Learner
from keel.potentials.networks.network import network_class
from keel.potentials.sum import SumPotential
from keel.process import forget_peak_memory, peak_memory_mb
from keel.progress import bar
from keel.results.made import TEACHERS, Decomposition, Teacher, TrainingCost
from keel.training import train
from keel.training.delta import on_top_of, taken_apart
from keel.training.strategies import steps_of


def fit_teacher(folder: Path, settings: TeacherSettings, split: Split, pairs: Sequence[tuple[int, int]]) -> None:
    """Fit the EAM to the training frames, or use a given potential; record its errors and the parts of dimers."""
    started = time.perf_counter()
    warnings: Sequence[str] = ()
    without_data: Sequence[str] = ()
    if settings.file is not None or settings.calculator is not None:
        teacher = given_teacher(settings)
    elif settings.fit != EAM:
        teacher = fitted(settings.fit, split.train, settings.arguments)
    else:
        # Without atoms alone: a teacher's forces matter, and its zero of energy is moved to that of the labels.
        walls = {"contacts": settings.contacts, "zbl": settings.zbl}
        # Without contacts the fit is that of earlier versions, whose results can be continued.
        weight = None if settings.contacts else ENERGY_WEIGHT
        fit = fit_eam(split.train, settings.cutoff, **walls, three_body=settings.three_body, energy_weight=weight)
        teacher, warnings, without_data = fit.potential, fit.warnings, fit.pairs_without_data
    seconds = time.perf_counter() - started
    if settings.calculator is None:
        closed_form, weights = TEACHERS
        teacher.save(str(folder / (closed_form if teacher.closed_form else weights)))
    held_out = known_to(teacher, split.validation)
    doubtful = doubts(teacher, held_out, "the validation frames") if held_out else []
    train_frames = in_memory(split.train, "errors of the teacher are those of")
    parts = {name: known_to(teacher, frames) for name, frames in (("train", train_frames), ("test", split.test))}
    errors = {name: accuracy(teacher, frames).to_dict() for name, frames in parts.items() if frames}
    kind = kind_of(settings)
    notes: dict[str, Any] = {"kind": kind} if kind else {}  # as before for an EAM
    notes |= {
        "warnings": [*warnings, *doubtful],
        "pairs_without_data": list(without_data),
        "seconds": round(seconds, 2),
    }
    known = [pair for pair in pairs if teacher.elements is None or set(pair) <= set(teacher.elements)]
    curves = {pair_name(a, b): decomposed(teacher, a, b) for a, b in known}
    Teacher({**errors, **notes}, curves).write(folder)


def kind_of(settings: TeacherSettings) -> str | None:
    """Return a description of the teacher; None for a fitted EAM."""
    if settings.calculator is not None:
        return f"the calculator {settings.calculator}"
    if settings.file is not None:
        return f"the potential of {Path(settings.file).name}"
    return None if settings.fit == EAM else f"“{settings.fit}” fitted to the training frames"


def given_teacher(settings: TeacherSettings) -> Potential:
    """Return the potential that the settings name by its file or calculator."""
    if settings.calculator is not None:
        return around(settings.calculator, settings.arguments)
    return open_potential(Path(str(settings.file)), trust=settings.trust)


def load_teacher(folder: Path, settings: TeacherSettings) -> Potential:
    """Return the teacher of a finished stage."""
    if settings.calculator is not None:
        return given_teacher(settings)
    return load(Teacher.potential(folder))


def build_network(settings: NetworkSettings, elements: Sequence[int], seed: int) -> Learner | SumPotential:
    """Return a new network with weights of a seed, or a trained one from its file, with its base if it has one.

    Raises
    ------
    ConfigError
        If there is no such class, or an argument does not fit it.
    DataError
        If the file does not contain a network.
    """
    if settings.start is not None:
        trained = open_potential(Path(settings.start), trust=settings.trust)
        try:
            network, base = taken_apart(trained)
        except ConfigError as error:
            raise DataError(f"{settings.start}: {error}") from None
        return on_top_of(base, network.to(torch.get_default_dtype()))
    cls = network_class(settings.class_name)
    torch.manual_seed(seed)
    try:
        return cls(elements=elements, **settings.arguments)
    except TypeError as error:
        raise ConfigError(f"networks: {settings.class_name}: {str(error).split(') ')[-1]}") from None


def code_of(settings: NetworkSettings | TeacherSettings) -> dict[str, Any]:
    """Return hashes of what is not keel's own: of a plugin's ``code``, of ``files`` that a teacher's arguments name."""
    files = {}
    if isinstance(settings, NetworkSettings):
        code = "" if settings.start is not None else source_of(network_class(settings.class_name))
    else:
        fits = settings.file is None and settings.calculator is None and settings.fit != EAM
        code, files = source_of(teacher_of(settings.fit)) if fits else "", of_named_files(settings.arguments)
    return ({"code": of_text(code)} if code else {}) | ({"files": files} if files else {})


@dataclass(frozen=True)
class TrainingOrder:
    """Which network is trained how.

    Parameters
    ----------
    config
        Of the run.
    network
        The network, new or from a file.
    strategy, seed
        Name of the strategy; seed of weights, batches and perturbations.
    teacher
        Folder of the teacher, or None.
    before
        Folder in which the network that it starts from was trained, or None; its cost is added.
    """

    config: RunSettings
    network: NetworkSettings
    strategy: str
    seed: int
    teacher: Path | None = None
    before: Path | None = None


def train_network(folder: Path, order: TrainingOrder, split: Split) -> None:
    """Train one network with one strategy; continue from a checkpoint if there is one."""
    config, network, seed = order.config, order.network, order.seed
    model = build_network(network, elements_of(split), seed)
    strategy, settings = config.strategy(order.strategy), config.training_of(network)
    steps = steps_of(strategy, settings)
    forget_peak_memory()
    with bar(f"    train  {network.label}-{order.strategy}-seed{seed}", steps) as advance:
        result = train(
            model,
            joined(split.train, split.atoms),
            strategy=strategy,
            teacher=None if order.teacher is None else load_teacher(order.teacher, config.teacher),
            validation=split.validation,
            settings=settings,
            perturbation=config.perturbation,
            seed=seed,
            folder=folder,
            loggers=[lambda row: advance(row["taken"], steps, f"{row['stage']}, loss {row['total']:.3f}")],
        )
    result.potential.save(str(folder / TRAINED))
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    own = (result.pretrain_steps, result.train_steps, result.gradient_evaluations, result.seconds)
    cost = TrainingCost(*own, peak_memory_mb=peak_memory_mb())
    (cost if order.before is None else cost.after(TrainingCost.read(order.before))).write(folder)


def decomposed(teacher: Potential, a: int, b: int) -> Decomposition:
    """Return the energy of two atoms against distance, and its parts if the teacher is an EAM."""
    distances = torch.arange(0.1, 8.0 + 1e-9, 0.02, dtype=torch.float64)
    try:
        d = dimer(teacher.double(), a, b, distances)
    except ConfigError:
        curve = dimer_curve(teacher.double(), a, b, distances.numpy())
        unknown = np.full(len(curve.r), np.nan)
        return Decomposition(curve.r, curve.energy, unknown, unknown, unknown, unknown)
    columns = (d.distance, d.total, d.morse, d.embedding, d.density.mean(dim=0), d.core)
    return Decomposition(*(column.detach().numpy() for column in columns))


def elements_of(split: Split) -> list[int]:
    """Return the atomic numbers in the training, validation and test frames, ascending."""
    return sorted({z for part in split.divided.values() for z in elements_in(part)})


def content_of(path: Path) -> str | list[str]:
    """Return the hash of a file, or of each file in the folder of another package's network."""
    return contents(path) if path.is_dir() else of_file(path)


def potential_of(folder: Path) -> Potential:
    """Return the potential of a trained network's folder."""
    return load(folder / TRAINED)

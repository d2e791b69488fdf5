"""keel train: one network, one strategy."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperOption

from keel.commands.checked import Command
from keel.commands.potential_options import WHAT, Arguments, Trust, openings
from keel.commands.reading_options import Elements, keys_of
from keel.commands.split_options import (
    By,
    TrainNames,
    check_validation,
    held_out,
    needs_key,
    parts_in_sentences,
    to_train,
)
from keel.files import Output
from keel.kinds import TRAINED, readable
from keel.ranges import AtomCount, BatchSize, Count, Cutoff, Devices, Nodes, Rate, Seed, Steps


class NamingStrategies(Command):
    """A command whose help names all strategies; they are imported for the help only."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        from keel.training.known import KNOWN

        for parameter in self.params:
            if parameter.name == "strategy" and isinstance(parameter, TyperOption):
                parameter.help = f"How to train: {', '.join(KNOWN)}; repair needs --start."
        super().format_help(ctx, formatter)


def train(
    files: Annotated[list[Path], typer.Argument(help=f"DFT-labelled structures: {readable()}.")],
    out: Annotated[
        Path, Output(folder=True), typer.Option(help="Folder for the potential, its metrics and the checkpoint.")
    ],
    network: Annotated[str, typer.Option(help="Class of the network; an unknown name lists all of them.")] = "CGCNN",
    preset: Annotated[str | None, typer.Option(help="Size of the network, such as small.")] = None,
    cutoff: Annotated[Cutoff | None, typer.Option(help="Cutoff of the network in angstrom.")] = None,
    start: Annotated[str | None, typer.Option(help="A trained network to continue from, instead of a new one.")] = None,
    strategy: Annotated[str, typer.Option(help="How to train, such as vanilla, or repair of --start.")] = "pretrain",
    teacher: Annotated[
        str | None,
        typer.Option(
            help="Potential that labels perturbed structures; default: an EAM fitted to FILES. A plugin's teacher, "
            f"or: {WHAT}"
        ),
    ] = None,
    steps: Annotated[Steps, typer.Option(help="Optimiser steps, pretraining included.")] = 1500,
    batch_size: Annotated[BatchSize, typer.Option(help="Structures in a batch.")] = 4,
    batch_atoms: Annotated[
        AtomCount | None, typer.Option(help="Maximum number of atoms in a batch, instead of a number of structures.")
    ] = None,
    accumulate: Annotated[
        Count, typer.Option(help="Number of batches whose mean gradient each step uses, as for one batch of them all.")
    ] = 1,
    learning_rate: Annotated[Rate, typer.Option(help="Highest learning rate.")] = 3e-3,
    validation: Annotated[
        str | None,
        typer.Option(
            help="Frames that select the weights to keep: a share, a file, or with --by names of groups; default 0.1, "
            "or the groups named validation."
        ),
    ] = None,
    by: By = None,
    train_names: TrainNames = None,
    patience: Annotated[
        Count | None, typer.Option(help="Stop early after this many validations in a row without a lower loss.")
    ] = None,
    logger: Annotated[
        list[str] | None,
        typer.Option(help="Loggers of metrics besides metrics.csv: csv, tensorboard or wandb; repeatable."),
    ] = None,
    seed: Annotated[Seed, typer.Option(help="Seed of weights, batches, perturbations and split.")] = 0,
    elements: Elements = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    devices: Annotated[Devices, typer.Option(help="Number of devices per node.")] = 1,
    nodes: Annotated[Nodes, typer.Option(help="Number of nodes.")] = 1,
    arguments: Arguments = "{}",
    trust: Trust = False,
) -> None:
    """Train a network on DFT-labelled structures; after an interruption it continues from its checkpoint.

    Example: keel train train.extxyz --network M3GNet --preset small --strategy pretrain --out model

    writes model/potential.safetensors, for keel evaluate, keel md, keel.load and the ASE calculator.
    """
    from keel.atoms.partial import LabelledSet
    from keel.atoms.read import read
    from keel.atoms.selecting import elements_in, joined
    from keel.atoms.within_reach import check_cutoff
    from keel.config import NetworkSettings
    from keel.errors import ConfigError
    from keel.fitting import fit_eam
    from keel.fitting.judge import faults
    from keel.fitting.teachers import fitted, is_teacher
    from keel.fitting.worth import doubts
    from keel.launch import is_first
    from keel.progress import bar, console
    from keel.settings import parse_given
    from keel.training import TrainingSettings
    from keel.training import train as train_network
    from keel.training.known import strategy_of
    from keel.training.loggers import check_loggers
    from keel.training.strategies import steps_of
    from keel.workflow.make import build_network

    given: dict[str, Any] = {"steps": steps, "batch_size": batch_size, "learning_rate": learning_rate}
    given |= {"batch_atoms": batch_atoms, "device": device, "devices": devices, "nodes": nodes, "patience": patience}
    given |= {"accumulate": accumulate, "loggers": logger}
    settings = parse_given(TrainingSettings, given, "keel train", {"loggers": "--logger"})
    check_loggers(settings.loggers)
    if start is not None and (preset or cutoff):
        raise ConfigError(f"--preset and --cutoff are for a new network; that of {start} stays as it is")
    size = {name: value for name, value in {"preset": preset, "cutoff": cutoff}.items() if value is not None}
    new = NetworkSettings(architecture=network, **size)
    described = NetworkSettings(start=start, trust=trust) if start else new
    needs_key(by, train_names)
    check_validation(by, validation)
    of_plugin = teacher is not None and is_teacher(teacher)
    chosen, named = strategy_of(strategy), openings([start, None if of_plugin else teacher], arguments, trust)
    labels = named[teacher].open() if teacher in named and chosen.needs_teacher else None
    material = LabelledSet(read(files, keys=keys_of(elements)))
    material.require(("energy", "forces"))
    frames = material.labelled
    if by is not None:
        parts = to_train(frames, by, train_names, validation, seed)
    else:
        parts = held_out(frames, validation, seed, keys_of(elements))
    model = build_network(described, elements_in(frames), seed)
    check_cutoff(frames, model.cutoff, "--cutoff")
    if is_first():
        wrong = faults(frames)
        for note in (*material.notes, *wrong, *parts_in_sentences(frames, parts, by)):
            console.print(f"     note  {note}", soft_wrap=True)
    warnings: tuple[str, ...] = ()
    if chosen.needs_teacher and labels is None:
        # Without atoms alone: a teacher's forces matter, and its zero of energy is moved to that of the labels.
        if teacher and of_plugin:
            labels = fitted(teacher, parts.train)
        else:
            fit = fit_eam(parts.train)
            labels, warnings = fit.potential, fit.warnings
    if labels is not None and chosen.relies_on_teacher and is_first():
        seen, which = (parts.validation, "validation") if len(parts.validation) else (parts.train, "training")
        for note in (*warnings, *doubts(labels, seen, f"the {which} frames")):
            console.print(f"     note  {note}", soft_wrap=True)
    total = steps_of(chosen, settings)
    with bar(f"train {described.label} ({strategy})", total) as advance:
        result = train_network(
            model,
            joined(parts.train, material.atoms),
            strategy=chosen,
            teacher=labels,
            validation=parts.validation,
            settings=settings,
            seed=seed,
            folder=out,
            loggers=[lambda row: advance(row["taken"], total, f"{row['stage']}, loss {row['total']:.3f}")],
        )
    if not is_first():
        return
    result.potential.save(str(out / TRAINED))
    if len(result.history) < total:
        console.print(f"stopped after {len(result.history)} of {total} steps: the validation loss no longer decreased")
    last = next((row for row in reversed(result.history) if "validation_force_mae" in row), None)
    if last:
        energy, forces = 1e3 * last["validation_energy_mae"], 1e3 * last["validation_force_mae"]
        errors = {f"energy {energy:.1f} meV/atom": energy, f"forces {forces:.0f} meV/angstrom": forces}
        console.print("validation: " + ", ".join(text for text, error in errors.items() if isfinite(error)))
    console.print(f"potential: {out / TRAINED}")

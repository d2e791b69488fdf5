"""Train a network: all stages of a strategy, resumable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.isolated import set_apart
from keel.atoms.selecting import in_memory, sizes
from keel.atoms.within_reach import check_cutoff
from keel.identity import as_before, of_training, stated
from keel.launch import launched, size_of_job
from keel.perturbation import PerturbationSettings
from keel.potentials.compiling.compiled import compiling
from keel.potentials.external.opening import Given, open_potential
from keel.potentials.networks.clamped import network_in
from keel.potentials.networks.network import Network
from keel.process import give_back_freed_memory, keep_freed_memory
from keel.ranges import Seed, checked
from keel.records import write_csv
from keel.showing import number_of
from keel.training.checkpoint import TrainingState, adopt_best, load_state, restore_optimizer, save_state
from keel.training.delta import base_of, clamped_at, on_top_of, remainder, taken_apart, taught_remainder
from keel.training.ema import MovingAverage
from keel.training.folder import one_at_a_time, say_where
from keel.training.known import BASELINE, STRATEGIES, strategy_of
from keel.training.loggers import Function, Logger, check_loggers, logged
from keel.training.loop import run_stage, validate, validation_batches
from keel.training.losses import Objective
from keel.training.metrics import Row
from keel.training.preparation import (
    check_contacts,
    check_elements,
    check_strategy,
    check_teacher,
    check_validation,
    known_atoms,
    prepare,
    sources_of,
    stress_scale,
    warn_of_memory,
)
from keel.training.result import TrainingResult, result_of
from keel.training.settings import TrainingSettings
from keel.training.strategies import Strategy, stages_of

if TYPE_CHECKING:
    from lightning.fabric import Fabric

MOST_VALIDATED = 1000
"""Number of frames of a store that choose the weights: more would take longer than the training between two
validations."""


@one_at_a_time
def train(
    potential: Given,
    frames: Structures,
    *,
    strategy: str | Strategy = BASELINE,
    teacher: Given | None = None,
    validation: Structures = (),
    settings: TrainingSettings | Mapping[str, Any] | None = None,
    perturbation: PerturbationSettings | Mapping[str, Any] | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    loggers: Sequence[Logger | Function] = (),
) -> TrainingResult:
    """Train a network on DFT-labelled frames, with or without pretraining.

    The network's energy offsets are fitted to the labels, and its scale is set to the root mean square of the force
    components of ``frames``; both remain fixed in all stages, as does the scale of the stress in the loss. A teacher's
    zero of energy is aligned with that of the DFT labels element by element, so that it does not affect the network.

    Parameters
    ----------
    potential
        The network, or the sum of one with its base that an earlier training returned. The network is trained in place;
        use the potential of the result, which includes the base if the strategy has one, and clamps the network
        (:class:`~keel.ClampedNetwork`) if the strategy says so. An already trained network
        (:attr:`~keel.Potential.trained`) keeps its scale, and its energies are moved, element by element, to the zero
        of the labels.
    frames
        Training frames, ``ase.Atoms`` or files (:func:`keel.atoms.as_frames`), each used for the labels that it has.
        With a teacher they are also the parents of the perturbed structures. Isolated atoms
        (:mod:`keel.atoms.isolated`) contribute to the offsets (:func:`keel.fitting.fit_offsets`), but are not used for
        training or validation.
    strategy
        A name of :data:`~keel.training.known.STRATEGIES` (``"vanilla"``, ``"sam"``, ``"pretrain"``, ...), or a
        :class:`Strategy`.
    teacher
        Labels the perturbed structures, usually ``keel.fit_eam(frames).potential``.
    validation
        Frames that choose the weights to keep: the averaged weights with the lowest loss. Without them the last ones.
    settings, perturbation
        Settings, or dictionaries of them; defaults if None.
    seed
        Of batches and perturbations. (Seed the weights with ``torch.manual_seed`` before building the network.)
    folder
        For ``checkpoint.safetensors`` and ``metrics.csv``. After an interruption, a call with the same arguments
        continues from there, reports from which step, and ends with the same numbers. (A network that was trained
        before is another one after an interruption: open its file again.) A second process waits until the first has
        finished.
    loggers
        Loggers of Lightning Fabric, which get the metrics whenever a checkpoint is written, so that a resumed training
        logs no step twice; and functions, called with the metrics after each step. Loggers that keel opens itself are
        named in ``settings``.

    Raises
    ------
    ConfigError
        If the strategy needs a teacher and there is none, patience is set without validation frames, a logger lacks its
        package or a folder, or settings contradict each other.
    DataError
        If there are no labels to learn from or to choose the weights by, or the network does not know an element.

    Examples
    --------
    >>> import keel
    >>> frames = keel.datasets.phosphorus()[:8]
    >>> network = keel.CGCNN(elements=["P"], features=16, convolutions=1)
    >>> settings = keel.TrainingSettings(steps=3, batch_size=2)
    >>> keel.train(network, frames, settings=settings).train_steps
    3
    """
    settings = TrainingSettings.given(settings)
    perturbation = None if perturbation is None else PerturbationSettings.given(perturbation)
    check_loggers(settings.loggers, loggers, folder=folder)
    frames, validation = as_frames(frames), as_frames(validation)
    keep_freed_memory()
    devices, nodes = size_of_job(settings.devices, settings.nodes)
    settings = settings.model_copy(update={"devices": devices, "nodes": nodes})
    strategy = strategy_of(strategy)
    learner, base = taken_apart(open_potential(potential))
    network = network_in(learner)
    teacher = None if teacher is None else open_potential(teacher)
    check_strategy(strategy, network, teacher)
    stages = stages_of(strategy, settings)
    seed = checked(Seed, seed, "seed")
    (frames, atoms), (validation, _) = set_apart(frames), set_apart(validation)
    validation = in_memory(validation, "the weights are chosen by", MOST_VALIDATED, seed)
    check_elements(network, frames)
    check_elements(network, validation)
    if strategy.needs_teacher:
        check_teacher(teacher, frames)
    warn_of_memory(frames, validation)
    check_validation(validation, settings)
    check_cutoff(frames, network.cutoff)
    base = base_of(strategy, network, teacher, base)
    learner = clamped_at(base, learner) if strategy.clamped else learner
    frames, validation, teacher = (
        remainder(frames, base),
        remainder(validation, base),
        taught_remainder(teacher, base),
    )
    atoms = remainder(known_atoms(network, atoms), base)
    some = in_memory(frames, "offsets and scales are those of", seed=seed)
    check_contacts(learner, some)
    prepare(learner, some, atoms)
    fabric = launched(settings.device, devices, nodes, settings.precision)
    sources = sources_of(network, frames, some, strategy, teacher, settings, perturbation, seed, fabric.world_size)
    own = Objective(learner, settings.loss, stress_scale(some, settings.loss))
    del some
    # First of all: it gives the weights their device and their precision.
    objective = fabric.setup_module(own)
    state = TrainingState(learner.train(), MovingAverage(learner, settings.ema_decay))
    checkpoint = None if folder is None else Path(folder) / "checkpoint.safetensors"
    # Weights to continue from are an input; those of a new network follow from its seed.
    used = (network if network.trained else None, teacher if strategy.learns_from_teacher else None, base)
    named = partial(
        of_training,
        (type(learner).__name__, learner.config()),
        [stated(potential) for potential in used if potential is not None],
        [atoms, frames, validation],
    )
    moves, *earlier = _moves(perturbation, strategy)
    identity = named((strategy, settings, moves, seed))
    entries = {}
    if checkpoint and checkpoint.is_file():
        entries = load_state(checkpoint, state, identity, *(named((strategy, settings, m, seed)) for m in earlier))
        if fabric.is_global_zero:
            total = sum(stage.steps for stage in stages)
            say_where(checkpoint.parent, len(state.history), total, ended=state.stage == len(stages))
    share = validation_batches(validation, network.cutoff, fabric.global_rank, fabric.world_size)
    graphs = [fabric.to_device(graph) for graph in share]
    each = settings.batch_atoms or settings.batch_size * float(sizes(frames).mean())
    work = sum(stage.steps for stage in stages) * settings.accumulate * each
    judged = partial(validate, fabric, state, graphs, own) if len(validation) else None
    ranks = range(fabric.global_rank * settings.accumulate, (fabric.global_rank + 1) * settings.accumulate)
    with logged(fabric, settings.loggers, loggers, folder, state.history) as log:

        def save(optimizer: torch.optim.Optimizer | None) -> None:
            log.deliver()
            if checkpoint and fabric.is_global_zero:
                save_state(checkpoint, state, optimizer, identity)

        while state.stage < len(stages):
            stage = stages[state.stage]
            optimizer = _optimizer(fabric, network, settings)
            if entries:
                restore_optimizer(optimizer, entries)
                entries = {}
            ahead, due = sources.ahead(stage, state.step, ranks), partial(save, optimizer)
            with compiling(network, settings.compile, work), ahead as batches:
                run_stage(fabric, state, objective, optimizer, stage, settings, batches, judged, log, due)
            state.stage, state.step = state.stage + 1, 0
            save(None)
    adopt_best(state)
    network.trained, network.trained_by = True, _description(network.trained_by, strategy, state, len(frames))
    if checkpoint and fabric.is_global_zero:
        write_metrics(checkpoint.with_name("metrics.csv"), state.history)
    give_back_freed_memory()
    result = on_top_of(base, learner.eval())
    result.trained_by = network.trained_by
    return result_of(result, state)


def write_metrics(path: Path, history: Sequence[Row]) -> None:
    """Write the metrics of each step as CSV."""
    columns = list(dict.fromkeys(key for row in history for key in row))
    write_csv(path, columns, ([row.get(name) for name in columns] for row in history), digits=None)


def _moves(given: PerturbationSettings | None, strategy: Strategy) -> list[PerturbationSettings | None]:
    """Return the settings of the perturbation as they name checkpoints, then as they may have named earlier ones."""
    if not strategy.learns_from_teacher:
        return [None]
    moves = given or PerturbationSettings()
    # Earlier, settings that were not given had no part in the name.
    return [moves, None] if dict(moves) == as_before(moves) else [moves]


def _description(before: str, strategy: Strategy, state: TrainingState, frames: int) -> str:
    """Return how a network was trained, following the description of earlier trainings."""
    name = next((name for name, known in STRATEGIES.items() if known == strategy), "a strategy of one's own")
    now = f"{name} ({len(state.history):,} steps, {number_of(frames, 'frame')})"
    return f"{before}, then {now}" if before else now


def _optimizer(fabric: Fabric, network: Network, settings: TrainingSettings) -> Any:
    # Fused: one loop over all parameters of a small network takes a tenth of the time of many small operations.
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        betas=(0.9, 0.99),
        fused=True,
    )
    return fabric.setup_optimizers(optimizer)

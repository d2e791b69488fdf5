"""The entry of a trial in the summary of a run, from the folders of its tasks."""

from __future__ import annotations

from pathlib import Path

from keel.results.index import TASKS, TrialFolders
from keel.results.made import TrainingCost
from keel.results.measured import Errors, Squeeze, StabilityRuns
from keel.results.run import Record
from keel.results.squeezed import summary_of
from keel.workflow.cache import seconds_of

ERRORS = ("energy_mae_mev_per_atom", "force_mae_mev_per_angstrom", "stress_mae_mev_per_cubic_angstrom")


def record_of(root: Path, system: str, train_frames: int, folders: TrialFolders, teacher: Squeeze | None) -> Record:
    """Return the record of a trial.

    Parameters
    ----------
    root
        The run folder.
    system
        Its name in tables.
    train_frames
        Number of training frames.
    folders
        Of the trial, from the run folder.
    teacher
        The crystals under compression with the teacher; None if there are none.
    """
    places = {task: root / place for task in TASKS if (place := getattr(folders, task)) is not None}
    cost = TrainingCost.read(places["train"])
    errors, runs = Errors.read(places["accuracy"]).errors, StabilityRuns.read(places["stability"])
    crystals = Squeeze.read(places["squeeze"]).crystals if "squeeze" in places else ()
    return Record(
        system=system,
        network=folders.network,
        strategy=folders.strategy,
        seed=folders.seed,
        train_frames=train_frames,
        pretrain_steps=cost.pretrain_steps,
        train_steps=cost.train_steps,
        **{name: errors[name] for name in ERRORS},
        gradient_evaluations=cost.gradient_evaluations,
        **runs.summary,
        wall_seconds=cost.seconds,
        cell_seconds=sum(map(seconds_of, [*places.values(), *(root / place for place in folders.probes.values())])),
        peak_memory_mb=cost.peak_memory_mb,
        squeeze=summary_of(crystals, teacher.crystals if teacher else ()),
    )

"""``keel run``: all tasks in order, then the report."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from keel.config import RunSettings, dump_yaml
from keel.errors import DataError
from keel.files import replace_file
from keel.kinds import TRAINED
from keel.progress import console, showing_left
from keel.records import read_object, write_json
from keel.results.curves import REMEDY
from keel.results.index import refuse_newer
from keel.results.made import Teacher
from keel.results.named import give_name
from keel.training.loggers import check_loggers
from keel.workflow.cluster import Cluster
from keel.workflow.pipeline import Pipeline
from keel.workflow.planning.plan import planned
from keel.workflow.sharing import working_in
from keel.workflow.versions import versions


def run(
    config: RunSettings,
    folder: str | Path,
    *,
    base: str | Path = ".",
    workers: int = 1,
    scheduler: str | None = None,
    only: Collection[str] = (),
    plan: bool = False,
    budget: float | None = None,
) -> Path:
    """Perform all tasks of a run and write its report.

    Tasks already done in this folder with the same inputs are not repeated; an interrupted run continues where it
    stopped, and simultaneous runs share the tasks. ``results.json`` and ``summary.json`` grow with each finished trial.

    Parameters
    ----------
    config
        What to do.
    folder
        The run folder.
    base
        Base of relative paths in the configuration.
    workers
        Number of parallel processes that train and evaluate networks, each on one thread if there are several.
    scheduler
        Dask scheduler whose workers do that instead; see :class:`~keel.workflow.cluster.Cluster`.
    only
        Names of trials, e.g. ``"CGCNN-pretrain-seed0"``; only these and what they need are done. Empty: all.
    plan
        First show what will be done and how long it takes, and then with each task the remaining time.
    budget
        Time limit in seconds; the number of training steps is chosen to meet it, and simulations are shortened if they
        would take most of it. The same budget for the same configuration has the same result. None: no limit.

    Returns
    -------
    Path
        The HTML report.

    Raises
    ------
    ConfigError, DataError
        If a setting is impossible, the data cannot be used, the budget is too small, or a newer keel has worked in this
        folder.
    """
    from keel.reporting import write_report

    root = Path(folder)
    refuse_newer(root)
    for network in config.networks:
        check_loggers(config.training_of(network).loggers)
    with (
        working_in(root, begun=(root / "stages").is_dir()),
        Cluster(workers, scheduler=scheduler, modules=["lightning.fabric", "keel.jit"]) as cluster,
    ):
        pipeline = Pipeline(config, root, Path(base), tuple(only))
        print_data(pipeline)
        if plan or budget is not None:
            pipeline = planned(pipeline, budget, cluster.workers)
        with showing_left(pipeline.cache.left):
            _perform(pipeline, cluster)
        with pipeline.alone():
            return write_report(root)


def _perform(pipeline: Pipeline, cluster: Cluster) -> None:
    root, text = pipeline.root, dump_yaml(pipeline.config)
    replace_file(root / "config.yaml", lambda temporary: temporary.write_text(text))
    _keep_versions(root / "versions.json", versions(cluster.workers))
    teacher = Teacher.read(pipeline.teacher())
    if any(pipeline.config.strategy(trial.strategy).relies_on_teacher for trial in pipeline.trials):
        for warning in teacher.fit.get("warnings", ()):
            console.print(f"     note  {warning}", soft_wrap=True)
    pipeline.teacher_squeeze()
    pipeline.teacher_contacts()
    for wave in pipeline.waves:
        for trial, folder in zip(wave, cluster.each(pipeline.train, wave), strict=True):
            give_name(root, trial.name, folder / TRAINED)
    for _ in cluster.each(pipeline.rung, pipeline.networks):
        pass
    finished = []
    for folders in cluster.each(pipeline.evaluate, pipeline.trials):
        finished.append(folders)
        with pipeline.alone():
            pipeline.write_results(finished)


def print_data(pipeline: Pipeline) -> None:
    """Print which data are used, which groups are in which part, and what a user should know about them."""
    described = pipeline.divided()
    lines = [("note", note) for note in pipeline.notes]
    lines += [("note", found["message"]) for found in described.census.get("judge", {}).get("findings", ())]
    lines += [("split", part) for part in described.parts]
    lines += [("note", leak) for leak in described.split.get("leaks", ())]
    for what, line in lines:
        console.print(f"{what:>9}  {line}", soft_wrap=True)


def _keep_versions(path: Path, now: dict[str, Any]) -> None:
    """Write the versions; others with which finished tasks may have been made are kept under ``before``."""
    try:
        earlier = read_object(path, (), REMEDY)
    except DataError:
        write_json(path, now)
        return
    changed = [name for name in now if name not in ("started", "workers") and earlier.get(name) != now[name]]
    if changed:
        differences = ", ".join(f"{name} {earlier.get(name)} -> {now[name]}" for name in changed)
        console.print(f"     note  continuing with {differences}; finished tasks are kept")
        write_json(path, {**now, "before": [*earlier.pop("before", []), earlier]})

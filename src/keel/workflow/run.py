"""What ``keel run`` does: all tasks in order, then the report."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from keel.config import RunSettings, dump_yaml
from keel.errors import DataError
from keel.files import replace_file
from keel.locks import shared
from keel.progress import console
from keel.records import read_object, write_json
from keel.results.curves import REMEDY
from keel.results.index import refuse_newer
from keel.workflow.pipeline import Pipeline
from keel.workflow.versions import versions
from keel.workflow.workers import Workers


def run(
    config: RunSettings,
    folder: str | Path,
    *,
    base: str | Path = ".",
    workers: int = 1,
    only: Collection[str] = (),
) -> Path:
    """Perform all tasks of a run and write its report.

    Tasks that a run in this folder has done before, with the same inputs, are not done again; a run that was
    interrupted goes on where it stopped, and runs at the same time share the tasks. ``results.json`` and
    ``summary.json`` grow with each finished trial.

    Parameters
    ----------
    config
        What to do.
    folder
        The run folder.
    base
        Folder that relative paths in the configuration start from.
    workers
        Processes that train and evaluate networks side by side, each on one thread if there are several.
    only
        Names of trials, e.g. ``"CGCNN-pretrain-seed0"``; nothing else is done but what these need. Empty: all.

    Returns
    -------
    Path
        The HTML report.

    Raises
    ------
    ConfigError, DataError
        If a setting is impossible, the data cannot be used, or a newer keel has worked in this folder.
    """
    from keel.reporting import write_report

    root = Path(folder)
    refuse_newer(root)
    if (root / "stages").is_dir():
        console.print(f"going on in {root}; finished tasks are kept")
    root.mkdir(parents=True, exist_ok=True)
    with shared(root / ".in-use", lambda: _clear(root)):
        pipeline = Pipeline(config, root, Path(base), tuple(only))
        with Workers(pipeline, workers, modules=["lightning.fabric", "keel.jit"]) as staff:
            _perform(pipeline, staff)
        with pipeline.alone():
            return write_report(root)


def _clear(root: Path) -> None:
    """Delete what killed runs were writing; nothing refers to it."""
    for unfinished in root.rglob(".writing-*"):
        unfinished.unlink(missing_ok=True)


def _perform(pipeline: Pipeline, staff: Workers) -> None:
    root, text = pipeline.root, dump_yaml(pipeline.config)
    replace_file(root / "config.yaml", lambda temporary: temporary.write_text(text))
    _keep_versions(root / "versions.json", versions(staff.number))
    tell_data(pipeline)
    pipeline.teacher()
    pipeline.teacher_squeeze()
    pipeline.teacher_contacts()
    for wave in pipeline.waves:
        for _ in staff.each("train", wave):
            pass
    for _ in staff.each("rung", pipeline.networks):
        pass
    finished = []
    for folders in staff.each("evaluate", pipeline.trials):
        finished.append(folders)
        with pipeline.alone():
            pipeline.write_results(finished)


def tell_data(pipeline: Pipeline) -> None:
    """Print what of the data is used, which groups are in which part, and what a user should know of it."""
    described = pipeline.divided()
    lines = [("note", note) for note in pipeline.notes]
    lines += [("split", part) for part in described.parts]
    lines += [("note", leak) for leak in described.split.get("leaks", ())]
    for what, line in lines:
        console.print(f"{what:>9}  {line}", soft_wrap=True)


def _keep_versions(path: Path, now: dict[str, Any]) -> None:
    """Write the versions; others that finished tasks may have been made with are kept under ``before``."""
    try:
        earlier = read_object(path, (), REMEDY)
    except DataError:
        write_json(path, now)
        return
    changed = [name for name in now if name not in ("started", "workers") and earlier.get(name) != now[name]]
    if changed:
        told = ", ".join(f"{name} {earlier.get(name)} -> {now[name]}" for name in changed)
        console.print(f"     note  going on with {told}; tasks that are finished are kept")
        write_json(path, {**now, "before": [*earlier.pop("before", []), earlier]})

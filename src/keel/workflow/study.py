"""``keel study``: a run for each configuration of a folder, and their combined results."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.live import Live
from rich.table import Table

from keel.config import NetworkSettings, RunSettings, read_config
from keel.errors import ConfigError, DataError, KeelError
from keel.files import by_number
from keel.progress import console, without_bars
from keel.workflow.pipeline import Pipeline
from keel.workflow.run import run
from keel.workflow.trial import Trial

SIMULATED, TRAINED, TO_DO = "●", "◐", "○"
"""Progress of a seed."""
REFRESH = 5.0
"""Seconds between two checks of the progress."""


@dataclass(frozen=True)
class Member:
    """One run of a study.

    Parameters
    ----------
    path
        Its configuration file.
    config
        What that says.
    folder
        The run folder.
    """

    path: Path
    config: RunSettings
    folder: Path

    def done(self, network: NetworkSettings, strategy: str) -> tuple[int, int]:
        """Return how many seeds are trained with these settings and data, and how many of them simulated."""
        if self._pipeline is None:
            return 0, 0
        trials = [Trial(network, strategy, seed) for seed in self.config.seeds_of(strategy)]
        tasks = (self._pipeline.train, self._pipeline.evaluate)
        trained, simulated = (sum(self._pipeline.found(task, t) is not None for t in trials) for task in tasks)
        return trained, simulated

    @cached_property
    def _pipeline(self) -> Pipeline | None:
        """The tasks to look for; None if the data cannot be read, which is reported when the run starts."""
        try:
            return Pipeline(self.config, self.folder, self.path.parent)
        except KeelError:
            return None


def members(folder: str | Path, out: str | Path, data: str | Path | None = None) -> list[Member]:
    """Return the runs of a study: a configuration ``folder/NAME.yaml`` each, with the run folder ``out/NAME``.

    Parameters
    ----------
    folder, out
        Folder of the configurations, and folder for the results.
    data
        Folder in which, or below which, the data files are found by their names; None: as the configurations state.

    Raises
    ------
    ConfigError
        If there is no configuration, or one is damaged.
    DataError
        If a data file is missing.
    """
    paths = sorted(Path(folder).glob("*.yaml"), key=lambda path: by_number(path.stem))
    if not paths:
        raise ConfigError(f"{folder}: there is no configuration (*.yaml) to run")
    return [Member(p, _with_data(read_config(p), p, data), Path(out) / p.stem) for p in paths]


def study(runs: Sequence[Member], *, workers: int = 1, scheduler: str | None = None) -> Path:
    """Perform every run of a study, then write its tables, figures and page.

    Interrupted runs continue where they stopped; finished ones cost nothing. A run that cannot be done, because its
    data are missing or training fails, is reported at the end, and the others are done.

    Parameters
    ----------
    runs
        See :func:`members`.
    workers, scheduler
        See :func:`keel.workflow.run`.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    KeelError
        Names the runs that could not be done.
    """
    from keel.reporting.study import write_study

    problems: dict[str, KeelError] = {}
    with _on_one_screen(runs):
        for member in runs:
            try:
                run(member.config, member.folder, base=member.path.parent, workers=workers, scheduler=scheduler)
            except KeelError as error:
                problems[member.path.name] = error
    try:
        page = write_study(runs[0].folder.parent)
    except DataError:
        # Without a finished trial there is no page; the reason is reported below.
        if not problems:
            raise
    if problems:
        raise KeelError("; ".join(f"{name}: {error}" for name, error in problems.items()))
    return page


def progress_table(runs: Sequence[Member]) -> Table:
    """Return the progress of a study: a row for each network of each run, a column for each strategy."""
    strategies = list(dict.fromkeys(s for m in runs for s in m.config.strategies))
    legend = f"{SIMULATED} trained and simulated, {TRAINED} trained, {TO_DO} to do, for each seed"
    caption = f"{legend}; {_megabytes(runs):.0f} MB on disk"
    table = Table("run", "network", *strategies, caption=caption, box=SIMPLE_HEAD, pad_edge=False)
    for member in runs:
        for network in member.config.networks:
            cells = [_progress(member, network, s) if s in member.config.strategies else "" for s in strategies]
            table.add_row(member.path.stem, network.label, *cells)
    return table


def _progress(member: Member, network: NetworkSettings, strategy: str) -> str:
    trained, simulated = member.done(network, strategy)
    wanted = len(member.config.seeds_of(strategy))
    colour = "green" if simulated == wanted else "yellow" if trained else "dim"
    return f"[{colour}]{SIMULATED * simulated}{TRAINED * (trained - simulated)}{TO_DO * (wanted - trained)}[/]"


def _megabytes(runs: Sequence[Member]) -> float:
    return sum(p.stat().st_size for m in runs for p in m.folder.rglob("*") if p.is_file()) / 1e6


@contextmanager
def _on_one_screen(runs: Sequence[Member]) -> Iterator[None]:
    """Keep the table of progress below all other lines while the block runs; in a log file, show it at the end."""
    if not console.is_terminal:
        yield
        console.print(progress_table(runs))
        return
    without_bars()
    ended = threading.Event()
    with Live(progress_table(runs), console=console, auto_refresh=False) as live:

        def refresh() -> None:
            while not ended.wait(REFRESH):
                live.update(progress_table(runs), refresh=True)

        thread = threading.Thread(target=refresh, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            live.update(progress_table(runs), refresh=True)


def _with_data(config: RunSettings, path: Path, data: str | Path | None) -> RunSettings:
    """Return the configuration with the paths of its files."""
    if data is None:
        return config
    located = config.data.located(lambda name: _found(Path(name).name, Path(data), path))
    return config.model_copy(update={"data": located})


def _found(name: str, data: Path, path: Path) -> str:
    places = sorted(data.rglob(name))
    if not places:
        raise DataError(f"{path}: there is no {name} in {data}; name the folder of the data with --data")
    return os.path.relpath(places[0], path.parent)

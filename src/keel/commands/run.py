"""keel run: the whole job, from one configuration or from data files alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keel.commands.ending import Strict, end_run
from keel.commands.where import Scheduler, Workers
from keel.errors import ConfigError
from keel.files import Output
from keel.kinds import readable

if TYPE_CHECKING:
    from keel.config import RunSettings

CONFIGS = (".yaml", ".yml")
RECORDED = "config.yaml"
"""In the folder of a run: its configuration, with paths as they were given."""

Networks = Annotated[
    list[str] | None,
    typer.Option("--network", help="Class of a network, for data files; default: CGCNN; repeatable."),
]


def run(
    files: Annotated[
        list[str],
        typer.Argument(
            help=f"One configuration, see examples/, or labelled structures: {readable()}.",
            metavar="CONFIG.yaml | FILES...",
        ),
    ],
    out: Annotated[
        Path | None,
        Output(folder=True),
        typer.Option(help="Run folder; default: runs/NAME, from the name of the first file."),
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="Data file to use instead of the configuration's; repeatable.")
    ] = None,
    network: Networks = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Time limit, e.g. 90s, 30min or 1h30; the number of training steps is chosen to meet it."),
    ] = None,
    workers: Workers = 1,
    scheduler: Scheduler = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only this trial, e.g. CGCNN-pretrain-seed0, and what it needs; repeatable."),
    ] = None,
    strict: Strict = False,
) -> None:
    """Fit a teacher, train every network with every strategy and seed, simulate, compare, report.

    Given data files, keel makes the configuration itself (keel init writes it to a file). It first shows what it will
    do and how long that takes.

    Every stage is kept in the run folder under a hash of its inputs: run the same command again to continue after an
    interruption, or change the configuration and only what depends on it is redone. A second run in the same folder
    shares the work. The output ends with a table, the verdict, and how to use the best potential, which is saved with
    all others under a plain name in potentials/ of the run folder.

    Example: keel run zeolites-pbe-d3.extxyz --budget 30min

    Example: keel run examples/silica.yaml --data zeolites-pbe-d3.extxyz
    """
    from keel.workflow import run as perform
    from keel.workflow.planning.budget import seconds_in

    seconds = None if budget is None else seconds_in(budget)
    settings, name, base = _configuration(files, data or (), network or ())
    folder = out or Path("runs") / name
    report = perform(
        settings, folder, base=base, workers=workers, scheduler=scheduler, only=only or (), plan=True, budget=seconds
    )
    end_run(folder, report, strict=strict)


def _configuration(files: Sequence[str], data: Sequence[str], networks: Sequence[str]) -> tuple[RunSettings, str, Path]:
    """Return the configuration, the name of its run folder, and the base of its relative paths."""
    from keel.config import read_config
    from keel.progress import console
    from keel.workflow.planning.proposal import propose, read_files

    for name in files:
        if (Path(name) / RECORDED).is_file():
            raise ConfigError(
                f"{name}: this is the folder of a run; to continue it, give its configuration or data files again with "
                f"--out {name}; its report is written again by keel report {name}"
            )
    if not any(Path(name).suffix in CONFIGS for name in files):
        if data:
            raise ConfigError("--data replaces a configuration's files; name data files without it")
        proposal = propose(files, read_files(files), networks)
        for reason in proposal.reasons.values():
            console.print(f"     plan  {reason}", soft_wrap=True)
        return proposal.config, proposal.config.name, Path()
    path = Path(files[0])
    if len(files) > 1:
        raise ConfigError("give one configuration, or data files; --data replaces a configuration's files")
    if networks:
        raise ConfigError(f"--network is for data files; {path} names its own networks")
    settings = read_config(path)
    if data:
        files = [name if name == "phosphorus" else str(Path(name).resolve()) for name in data]
        settings = settings.model_copy(update={"data": settings.data.replace(files=files)})
    return settings, path.stem, path.parent

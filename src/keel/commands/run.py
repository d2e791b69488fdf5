"""keel run: the whole job from one configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keel.files import Output
from keel.ranges import Processes


def run(
    config: Annotated[Path, typer.Argument(help="Configuration (YAML); see examples/.", metavar="CONFIG.yaml")],
    out: Annotated[
        Path | None, Output(folder=True), typer.Option(help="Run folder; default: runs/ and the configuration's name.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="Data file instead of the configuration's; may be repeated.")
    ] = None,
    workers: Annotated[Processes, typer.Option(help="Networks trained and evaluated side by side.")] = 1,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only this trial, e.g. CGCNN-pretrain-seed0, and what it needs; may be repeated."),
    ] = None,
) -> None:
    """Fit a teacher, train every network with every strategy and seed, simulate, compare, report.

    Every stage is kept in the run folder under a hash of its inputs: run the same command again to go on after an
    interruption, or change the configuration and only what depends on it is done anew.

    Example: keel run examples/silica.yaml --data zeolites-pbe-d3.extxyz
    """
    from keel.config import read_config
    from keel.progress import console
    from keel.workflow import run as perform

    settings = read_config(config)
    if data:
        files = [name if name == "phosphorus" else str(Path(name).resolve()) for name in data]
        settings = settings.model_copy(update={"data": settings.data.replace(files=files)})
    out = out or Path("runs") / config.stem
    report = perform(settings, out, base=config.parent, workers=workers, only=only or ())
    console.print(f"report: {report}")

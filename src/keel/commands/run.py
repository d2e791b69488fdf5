"""keel run: the whole job from one configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keel.commands.ending import Strict, end_run


def run(
    config: Annotated[Path, typer.Argument(help="Configuration (YAML); see examples/.", metavar="CONFIG.yaml")],
    out: Annotated[Path | None, typer.Option(help="Run folder; default: runs/ and the configuration's name.")] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="Data file instead of the configuration's; may be repeated.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Networks trained and evaluated side by side.")] = 1,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only this trial, e.g. CGCNN-pretrain-seed0, and what it needs; may be repeated."),
    ] = None,
    strict: Strict = False,
) -> None:
    """Fit a teacher, train every network with every strategy and seed, simulate, compare, report.

    Every stage is kept in the run folder under a hash of its inputs: run the same command again to go on after an
    interruption, or change the configuration and only what depends on it is done anew. A second run in the same folder
    shares the work. At the end stand a table, the verdict, and how to use the potential that did best, which lies with
    all others under a plain name in potentials/ of the run folder.

    Example: keel run examples/silica.yaml --data zeolites-pbe-d3.extxyz
    """
    from keel.config import read_config
    from keel.workflow import run as perform

    settings = read_config(config)
    if data:
        files = [name if name == "phosphorus" else str(Path(name).resolve()) for name in data]
        settings = settings.model_copy(update={"data": settings.data.replace(files=files)})
    out = out or Path("runs") / config.stem
    report = perform(settings, out, base=config.parent, workers=workers, only=only or ())
    end_run(out, report, strict=strict)

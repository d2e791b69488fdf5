"""keel demo: a run on the embedded phosphorus data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keel.commands.ending import end_run
from keel.commands.where import Workers
from keel.files import Output

CONFIG = Path(__file__).parents[1] / "datasets" / "demo.yaml"


def demo(
    out: Annotated[Path, Output(folder=True), typer.Option(help="Run folder.")] = Path("keel-demo"),
    workers: Workers = 2,
) -> None:
    """Run the whole job on the embedded phosphorus data: about five minutes on two cores.

    CGCNN learns from few DFT frames, plainly, with sharpness-aware steps and with pretraining, at equal cost; each is
    simulated until it fails. The last lines and the report say whether pretraining helped.
    """
    from keel.config import read_config
    from keel.workflow import run

    report = run(read_config(CONFIG), out, workers=workers, plan=True)
    end_run(out, report.resolve())

"""Where the tasks of a command are done: ``--workers`` and ``--scheduler``."""

from __future__ import annotations

from typing import Annotated

import typer

from keel.ranges import Processes

Workers = Annotated[
    Processes,
    typer.Option(help="Processes of this machine that work side by side, each on one thread; 1: all threads for one."),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS|FILE",
        help="Of Dask, whose workers do the work instead, such as tcp://node1:8786 or the file that it has written.",
    ),
]

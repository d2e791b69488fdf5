"""Where the tasks of a command run: ``--workers`` and ``--scheduler``."""

from __future__ import annotations

from typing import Annotated

import typer

from keel.ranges import Processes

Workers = Annotated[
    Processes,
    typer.Option(help="Parallel processes on this machine, each on one thread; 1: one process with all threads."),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS|FILE",
        help="Dask scheduler whose workers do the work instead: an address such as tcp://node1:8786, or its scheduler "
        "file.",
    ),
]

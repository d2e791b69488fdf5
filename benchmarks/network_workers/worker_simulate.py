"""keel's batched molecular dynamics: all structures in one call."""

from __future__ import annotations

from collections.abc import Callable

from worker import Task, serve

import keel
from keel.dynamics import simulate


def prepare(task: Task) -> Callable[[], object]:
    network = keel.load(task.options["network"])

    def run() -> None:
        runs = simulate(
            network,
            task.frames,
            temperature=task.options["temperature"],
            steps=task.options["steps"],
            timestep=1.0,
            friction=0.01,
            compile=True,
            max_atoms=task.options["max_atoms"],
        )
        failed = [r for r in runs if not r.survived]
        if failed:
            raise RuntimeError(f"{len(failed)} of {len(runs)} runs failed, the first of {failed[0].cause}")

    return run


if __name__ == "__main__":
    serve(prepare)

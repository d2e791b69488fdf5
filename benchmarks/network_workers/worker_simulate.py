"""keel's batched molecular dynamics: all structures in one call."""

from __future__ import annotations

from collections.abc import Callable

from worker import Task, serve

import keel
from keel.dynamics import ComputeSettings, MDSettings, simulate


def prepare(task: Task) -> Callable[[], object]:
    network = keel.load(task.options["network"])
    settings = MDSettings(
        temperature=task.options["temperature"],
        length_fs=task.options["steps"],
        timestep_fs=1.0,
        friction_per_fs=0.01,
        max_atoms=task.options["max_atoms"],
    )

    def run() -> None:
        runs = simulate(network, task.frames, settings, compute=ComputeSettings(compile=True))
        failed = [r for r in runs if not r.survived]
        if failed:
            raise RuntimeError(f"{len(failed)} of {len(runs)} runs failed, the first of {failed[0].cause}")

    return run


if __name__ == "__main__":
    serve(prepare)

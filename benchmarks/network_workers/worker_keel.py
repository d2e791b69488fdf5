"""keel, compiled."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from worker import Task, md_steps, serve, training_step

import keel
from keel.potentials.compiling.compiled import compiling
from keel.process import keep_freed_memory


def prepare(task: Task) -> Callable[[], object]:
    options = dict(task.options)
    name, eager = options.pop("network"), options.pop("eager", False)
    network = getattr(keel, name)(["O", "Si"], task.cutoff, **options)
    if task.kind == "md":
        # Small forces: an untrained network must not blow the simulation up.
        network.scale.fill_(0.01)
        return md_steps(task, keel.KeelCalculator(network, compile=not eager))
    keep_freed_memory()  # as keel.train and the calculator do
    graph = keel.batch(task.frames, network.cutoff).to(dtype=network.dtype)

    def predict() -> tuple[Tensor, Tensor, Tensor]:
        with compiling(network, not eager, 0):
            prediction = network(graph, differentiable=True)
        return prediction.energy, prediction.forces, prediction.stress

    return training_step(task, network, predict)


if __name__ == "__main__":
    serve(prepare)

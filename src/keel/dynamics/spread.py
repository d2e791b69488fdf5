"""Work divided among several processes, each with a device of its own, and the gathering of their results."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
import torch.distributed

from keel.errors import KeelError
from keel.launch import launched, size_of_job

T = TypeVar("T")

PATIENCE = timedelta(days=365)
"""How long one process waits for the others: their runs may last longer."""


@dataclass(frozen=True)
class Ranks:
    """The processes that share some work: the runs of a simulation, the frames of an evaluation.

    Parameters
    ----------
    rank, size
        The number of this process, and of all.
    device
        Of this process.
    """

    rank: int
    size: int
    device: torch.device | str

    @classmethod
    def started(cls, device: torch.device | str, devices: int | None, nodes: int) -> Ranks:
        """Start the processes, if there is more than one; see :func:`keel.launch.launched`."""
        if size_of_job(devices, nodes) == (1, 1):
            return cls(0, 1, device)
        fabric = launched(str(device), devices, nodes)
        if fabric.world_size > 1:
            _group()  # while all are at the same place; later the others would not wait
        return cls(fabric.global_rank, fabric.world_size, fabric.device)

    def own(self, count: int) -> range:
        """Return which of the parts belong to this process."""
        return range(self.rank, count, self.size)

    def gathered(self, compute: Callable[[], list[T]]) -> list[T]:
        """Return what all processes computed, in each of them; an error of one is raised in all.

        Raises
        ------
        KeelError
            The first error, or that another process has died.
        """
        if self.size == 1:
            return compute()
        try:
            mine: list[T] | KeelError = compute()
        except KeelError as error:
            mine = error
        everyone: list[Any] = [None] * self.size
        try:
            torch.distributed.all_gather_object(everyone, mine, group=_group())
        except RuntimeError:
            raise KeelError(
                "another process of this job has died; a simulation with an output file continues from its last "
                "checkpoints when the same command is run again"
            ) from None
        for result in everyone:
            if isinstance(result, KeelError):
                raise result
        return [item for result in everyone for item in result]


def dealt(work: Sequence[int], count: int) -> list[list[int]]:
    """Distribute pieces of work among workers, the largest first and each to the worker with the least work.

    The share of each worker is in ascending order. Deterministic; no worker is idle if there are enough pieces.
    """
    hands: list[tuple[int, int]] = [(0, k) for k in range(count)]
    shares: list[list[int]] = [[] for _ in range(count)]
    for piece in sorted(range(len(work)), key=lambda k: -work[k]):
        load, hand = hands[0]
        shares[hand].append(piece)
        heapq.heapreplace(hands, (load + work[piece], hand))
    return [sorted(share) for share in shares]


@cache
def _group() -> Any:
    # Not the group of Fabric: on GPUs it would time out after minutes, and use GPU memory for a few numbers.
    return torch.distributed.new_group(backend="gloo", timeout=PATIENCE)

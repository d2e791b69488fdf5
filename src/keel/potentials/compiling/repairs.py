"""Faults of torch's compiler that would make results wrong without a word."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def keep_order_of_sums() -> None:
    """Let compiled CPU code read a sum over edges only when it is complete.

    torch 2.13 (torch._inductor.scheduler, ``recompute_size_and_body``) forgets, when it changes the loops of an
    operation to merge it with others, that the operation reads a buffer after another has added to it. The gradients of
    a network may then lack all messages. Putting the renamed buffers back restores the order; where torch does so
    itself, nothing changes.
    """
    from torch._inductor.scheduler import SchedulerNode

    recompute = SchedulerNode.recompute_size_and_body

    def recompute_and_keep_order(node: Any, *arguments: Any, **options: Any) -> None:
        recompute(node, *arguments, **options)
        if node.mutation_renames:
            node.set_read_writes(node.read_writes.rename(node.mutation_renames))

    setattr(SchedulerNode, "recompute_size_and_body", recompute_and_keep_order)  # noqa: B010  (mypy forbids =)

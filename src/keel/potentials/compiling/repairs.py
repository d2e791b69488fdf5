"""Faults of torch's compiler that would silently make results wrong."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch.torch_version import TorchVersion

SUMS_IN_ORDER_FROM = "2.14.1"
"""First version of torch that does not need :func:`keep_order_of_sums`."""


@cache
def keep_order_of_sums() -> None:
    """Let compiled CPU code read a sum over edges only when it is complete.

    Older versions of torch (torch._inductor.scheduler, ``recompute_size_and_body``) forget, when they change the loops
    of an operation to merge it with others, that the operation reads a buffer after another has added to it: the buffer
    had been renamed in ``update_mutated_names``. torch 2.8 also forgets orders that do not follow from an index. The
    gradients of a network may then lack all messages. Both are recorded and restored.
    """
    if TorchVersion(torch.__version__) >= SUMS_IN_ORDER_FROM:
        return
    from torch._inductor.dependencies import StarDep, WeakDep
    from torch._inductor.scheduler import SchedulerNode
    from torch.utils._ordered_set import OrderedSet

    update, recompute = SchedulerNode.update_mutated_names, SchedulerNode.recompute_size_and_body

    def update_and_note(node: Any, renames: dict[str, str]) -> None:
        read = {dep.name for dep in node.read_writes.reads_and_writes()}
        node.keel_renames = {old: new for old, new in renames.items() if old in read}
        update(node, renames)

    def recompute_and_rename(node: Any, *arguments: Any, **options: Any) -> None:
        without_index = OrderedSet(dep for dep in node.read_writes.reads if isinstance(dep, StarDep | WeakDep))
        recompute(node, *arguments, **options)
        renamed = node.read_writes.rename(getattr(node, "keel_renames", {}))
        node.set_read_writes(renamed.with_read(without_index))

    setattr(SchedulerNode, "update_mutated_names", update_and_note)  # noqa: B010  (mypy forbids =)
    setattr(SchedulerNode, "recompute_size_and_body", recompute_and_rename)  # noqa: B010

"""Faults of torch's compiler that keel repairs, each shown in the version at hand."""

import pytest
import torch

from keel.potentials.compiling.compiled import obstacle
from keel.potentials.compiling.repairs import keep_order_of_sums

pytestmark = [
    pytest.mark.skipif(obstacle(torch.device("cpu")) is not None, reason="there is no C++ compiler"),
    pytest.mark.xdist_group("compiling"),
    pytest.mark.usefixtures("avx2"),
]


def test_loops_that_change_still_wait_for_sums():
    """What reads a buffer after a sum has been added to it does so after its loops have been made anew.

    Fails with torch 2.8 to 2.13 without the repair; later versions need none.
    """
    from torch._inductor import config
    from torch._inductor.scheduler import SchedulerNode

    keep_order_of_sums()
    reads = []

    def made_anew(nodes):
        for node in nodes:
            if isinstance(node, SchedulerNode):
                before = {dep.name for dep in node.read_writes.reads}
                node.recompute_size_and_body()
                reads.append((before, {dep.name for dep in node.read_writes.reads}))
        return nodes

    def function(v, i, x):
        return torch.sin(v * 3.0).index_add(0, i, x) * 2.0

    torch._dynamo.reset()
    v, i, x = torch.rand(3, 4), torch.tensor([0, 2, 2, 1, 0]), torch.rand(5, 4)
    # Not by pytest's monkeypatch, which leaves torch's settings without what it has put back.
    with config.patch(_pre_fusion_custom_pass=made_anew, force_disable_caches=True):
        assert torch.allclose(torch.compile(function)(v, i, x), function(v, i, x))
    assert len(reads) >= 2
    assert all(before == after for before, after in reads)

"""The pass that gives matrix products of compiled networks to oneDNN."""

import pytest
import torch
from torch import nn
from torch._dynamo.backends.common import aot_autograd
from torch.nn import functional

from keel.potentials.products import OneDNNProducts, available

pytestmark = pytest.mark.skipif(not available(), reason="this PyTorch is built without oneDNN")


class Passed:
    """A function after the pass; the first size of its first argument is a symbol."""

    def __init__(self, function):
        self.replaced, self.products = 0, 0
        torch._dynamo.reset()
        self.function = torch.compile(function, backend=aot_autograd(fw_compiler=self.compiler))

    def compiler(self, module, _):
        def count():
            names = [str(n.target) for n in module.graph.nodes]
            return sum("keel.product" in n for n in names), sum("aten.mm" in n or "aten.addmm" in n for n in names)

        before = count()[1]
        OneDNNProducts()(module.graph)
        module.recompile()
        self.replaced, left = count()
        self.products = before
        assert self.replaced + left == before
        return module

    def __call__(self, x, *others):
        torch._dynamo.mark_dynamic(x, 0)
        return self.function(x, *others)


@pytest.mark.parametrize("columns", [3, 40])
def test_layers(columns):
    layer = nn.Linear(7, columns).requires_grad_(False)
    passed = Passed(lambda x: functional.silu(layer(x)) @ layer.weight)
    for n in (50, 33, 2):
        x = torch.randn(n, 7)
        assert torch.allclose(passed(x), functional.silu(layer(x)) @ layer.weight, atol=1e-5)
    assert passed.replaced == passed.products == 2


@pytest.mark.parametrize(("wide", "narrow", "replaced"), [(64, 9, 1), (64, 40, 0), (9, 64, 0)])
def test_contraction_over_many_rows(wide, narrow, replaced):
    """Gradients of weights; with few columns they are faster the other way round."""

    def gradient(x):
        return x[:, :wide].T @ x[:, wide:]

    passed, x = Passed(gradient), torch.randn(500, wide + narrow)
    assert torch.allclose(passed(x), gradient(x), atol=1e-3)
    assert (passed.replaced, passed.products) == (replaced, 1)


@pytest.mark.parametrize(
    ("x", "function"),
    [
        (torch.randn(50, 7, dtype=torch.float64), lambda x: x @ torch.ones(7, 4, dtype=torch.float64)),
        (torch.randn(50, 7), lambda x: x.sum() + torch.ones(4, 7) @ torch.ones(7, 5)),
    ],
    ids=["double precision", "weights only"],
)
def test_others_stay(x, function):
    passed = Passed(function)
    assert torch.allclose(passed(x), function(x))
    assert (passed.replaced, passed.products) == (0, 1)


def test_compiled_code_is_told_apart():
    assert OneDNNProducts().uuid() == OneDNNProducts().uuid() is not None

"""The pass that gives matrix products of compiled networks to oneDNN."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from keel.potentials import compiling  # whose products import torch's compiler, which takes seconds

LARGE = 5000

pytestmark = pytest.mark.xdist_group("compiling")


@pytest.fixture(scope="module", autouse=True)
def _onednn():
    if not compiling.products.available():
        pytest.skip("this PyTorch is built without oneDNN")


def traced_by(compiler):
    from torch._dynamo.backends.common import aot_autograd  # takes seconds

    return aot_autograd(fw_compiler=compiler)


class Passed:
    """A function after the pass; the first size of its first argument is a symbol."""

    def __init__(self, function):
        self.replaced, self.products = 0, 0
        torch._dynamo.reset()
        self.function = torch.compile(function, backend=traced_by(self.compiler))

    def compiler(self, module, _):
        def count():
            names = [str(n.target) for n in module.graph.nodes]
            return sum("keel.product" in n for n in names), sum("aten.mm" in n or "aten.addmm" in n for n in names)

        before = count()[1]
        compiling.products.OneDNNProducts()(module.graph)
        module.recompile()
        self.replaced, left = count()
        self.products = before
        assert self.replaced + left == before
        return module

    def __call__(self, x, *others):
        torch._dynamo.mark_dynamic(x, 0)
        return self.function(x, *others)


@pytest.mark.parametrize(("first", "replaced"), [(LARGE, 2), (20, 0)])
def test_layers(first, replaced):
    """What the first batch decides holds for others, of any size."""
    layer = nn.Linear(27, 40).requires_grad_(False)
    passed = Passed(lambda x: functional.silu(layer(x)) @ layer.weight)
    for n in (first, 33, 2):
        x = torch.randn(n, 27)
        assert torch.allclose(passed(x), functional.silu(layer(x)) @ layer.weight, atol=1e-5)
    assert (passed.replaced, passed.products) == (replaced, 2)


def test_sum_of_products():
    """A matrix that is added is added afterwards."""
    weight = torch.randn(40, 27)
    passed = Passed(lambda x: torch.addmm(x[:, :27], x, weight))
    x = torch.randn(LARGE, 40)
    assert torch.allclose(passed(x), x[:, :27] + x @ weight, atol=1e-4)
    assert (passed.replaced, passed.products) == (1, 1)


@pytest.mark.parametrize(
    ("rows", "columns", "replaced"), [(64, 9, 1), (9, 64, 1), (64, 40, 0), (128, 64, 1), (64, 128, 1)]
)
def test_gradients_of_weights(rows, columns, replaced):
    def gradient(x):
        return x[:, :rows].T @ x[:, rows:]

    passed, x = Passed(gradient), torch.randn(LARGE, rows + columns)
    assert torch.allclose(passed(x), gradient(x), atol=1e-2)
    assert (passed.replaced, passed.products) == (replaced, 1)


@pytest.mark.parametrize(
    ("x", "function"),
    [
        (torch.randn(LARGE, 40, dtype=torch.float64), lambda x: x @ torch.ones(40, 40, dtype=torch.float64)),
        (torch.randn(50, 7), lambda x: x.sum() + torch.ones(400, 70) @ torch.ones(70, 500)),
    ],
    ids=["double precision", "weights only"],
)
def test_others_stay(x, function):
    passed = Passed(function)
    assert torch.allclose(passed(x), function(x))
    assert (passed.replaced, passed.products) == (0, 1)


@pytest.mark.parametrize("added", [torch.randn(40), torch.randn(3, 40)], ids=["bias", "matrix"])
def test_sums_are_separate(added):
    def function(x):
        return torch.addmm(added, x, weight) + torch.addmm(added, x, weight, beta=0.5)

    def compiler(module, _):
        compiling.products.SeparateSums()(module.graph)
        module.recompile()
        targets.extend(n.target for n in module.graph.nodes)
        return module

    weight, x, targets = torch.randn(27, 40), torch.randn(3, 27), []
    torch._dynamo.reset()
    passed = torch.compile(function, backend=traced_by(compiler))
    assert torch.allclose(passed(x), function(x), atol=1e-5)
    # With factors it stays as it was.
    assert [targets.count(f) for f in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default)] == [1, 1]


def test_compiled_code_is_told_apart():
    names = {
        compiling.products.OneDNNProducts().uuid(),
        compiling.products.OneDNNProducts().uuid(),
        compiling.products.SeparateSums().uuid(),
        compiling.products.SeparateSums().uuid(),
    }
    assert len(names) == 2


@pytest.mark.parametrize(("mkl", "intel", "wanted"), [(True, True, False), (True, False, True), (False, True, True)])
def test_it_is_not_used_where_the_default_is_faster(mkl, intel, wanted, monkeypatch):
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: mkl)
    monkeypatch.setattr(compiling.products, "_made_by_intel", lambda: intel)
    assert compiling.products.pays.__wrapped__() is wanted

"""Matrix products of compiled networks on CPU: by oneDNN, which takes half the time of the default on AMD processors.

A pass over the compiled graph, after differentiation, replaces the products in which one size is the number of edges or
atoms; it is a symbol there, and thus distinguishable from the sizes of the layers. Where the default is kept, another
pass takes the sums out of the products.
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._inductor.custom_graph_pass import CustomGraphPass, get_hash_for_files
from torch.fx import Graph, Node

LEAST_WORK = 1_000_000
"""Number of multiplications below which a call of oneDNN costs more than it saves."""
FEW, MANY = 17, 64
"""Range of the number of features in which gradients of weights are equally fast by default."""

_library = torch.library.Library("keel", "DEF")
_library.define("product(Tensor x, Tensor y, Tensor? bias) -> Tensor")


def _product(x: Tensor, y: Tensor, bias: Tensor | None) -> Tensor:
    """Return x y + bias."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, y.t(), bias, "none", [], "")
    return result


_library.impl("product", _product, "CPU")
_library.impl("product", lambda x, y, _: x.new_empty(x.shape[0], y.shape[1]), "Meta")


class OneDNNProducts(CustomGraphPass):
    """Replace products in a graph, in place: option ``post_grad_custom_post_pass`` of ``torch.compile``."""

    def __call__(self, graph: Graph) -> None:
        """See above."""
        aten = torch.ops.aten
        for node in list(graph.nodes):
            if node.op == "call_function" and node.target in (aten.mm.default, aten.addmm.default):
                _replace(graph, node)
        graph.lint()

    def uuid(self) -> Any:
        """Return what distinguishes compiled code of this pass from that of others."""
        return get_hash_for_files((__file__,))


class SeparateSums(CustomGraphPass):
    """Replace b + x y by a product and a sum in a graph, in place, an option as before.

    The product would first copy b to where the result goes, once for each row; the sum joins the loop that follows.
    """

    def __call__(self, graph: Graph) -> None:
        """See above."""
        aten = torch.ops.aten
        for node in graph.find_nodes(op="call_function", target=aten.addmm.default):
            if node.kwargs or node.meta["val"].device.type != "cpu":
                continue
            added, x, y = node.args
            with graph.inserting_before(node):
                product = graph.call_function(aten.mm.default, (x, y))
                total = graph.call_function(aten.add.Tensor, (product, added))
            product.meta["val"] = total.meta["val"] = node.meta["val"]
            node.replace_all_uses_with(total)
            graph.erase_node(node)
        graph.lint()

    def uuid(self) -> Any:
        """Return what distinguishes compiled code of this pass from that of others."""
        return type(self).__name__, get_hash_for_files((__file__,))


def available() -> bool:
    """Return whether this PyTorch has oneDNN."""
    return bool(torch.backends.mkldnn.is_available())


@cache
def pays() -> bool:
    """Return whether oneDNN is faster than the default: not where that is Intel's MKL on a processor of Intel.

    Measured there, steps of CGCNN take 0.8 to 0.9 of their time with the default. MKL is slow on other processors.
    """
    return available() and not (torch.backends.mkl.is_available() and _made_by_intel())


def _made_by_intel() -> bool:
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return "GenuineIntel" in platform.processor()


def _replace(graph: Graph, node: Node) -> None:
    arguments = [a for a in node.args if isinstance(a, Node)]
    values = [a.meta["val"] for a in arguments]
    if len(values) != len(node.args) or node.kwargs:
        return
    if any(v.dtype != torch.float32 or v.device.type != "cpu" for v in values):
        return
    x, y = arguments[-2:]
    (rows, inner), columns = values[-2].shape, values[-1].shape[1]
    if _expected(rows) * _expected(inner) * _expected(columns) < LEAST_WORK:
        return
    with graph.inserting_before(node):
        if not isinstance(rows, int):
            one_row = len(values) == 3 and values[0].dim() == 1
            result = _call(graph, x, y, arguments[0] if one_row else None)
        elif _gradient_of_weights(rows, inner, columns):
            one_row = False
            # oneDNN copies its first matrix, so the smaller comes first.
            turned = columns < rows
            result = _call(graph, *((_turned(graph, y), _turned(graph, x)) if turned else (x, y)), None)
            result = _turned(graph, result) if turned else result
        else:
            return
        if len(values) == 3 and not one_row:
            total = graph.call_function(torch.ops.aten.add.Tensor, (result, arguments[0]))
            total.meta["val"] = node.meta["val"]
            result = total
    node.replace_all_uses_with(result)
    graph.erase_node(node)


def _gradient_of_weights(rows: int, inner: int | torch.SymInt, columns: int | torch.SymInt) -> bool:
    """Return whether a product sums over edges or atoms, and is faster by oneDNN."""
    if isinstance(inner, int) or not isinstance(columns, int):
        return False
    return min(rows, columns) < FEW or max(rows, columns) > MANY


def _expected(size: int | torch.SymInt) -> int:
    """Return a size, or that of the first batch if it is a symbol."""
    return size if isinstance(size, int) else int(size.node.hint or 0)


def _call(graph: Graph, x: Node, y: Node, bias: Node | None) -> Node:
    result = graph.call_function(torch.ops.keel.product.default, (x, y, bias))
    result.meta["val"] = x.meta["val"].new_empty(x.meta["val"].shape[0], y.meta["val"].shape[1])
    return result


def _turned(graph: Graph, matrix: Node) -> Node:
    result = graph.call_function(torch.ops.aten.permute.default, (matrix, [1, 0]))
    result.meta["val"] = matrix.meta["val"].permute(1, 0)
    return result

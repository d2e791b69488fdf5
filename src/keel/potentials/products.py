"""Matrix products of compiled networks on CPU: by oneDNN, which takes half the time of the default on AMD processors.

A pass over the compiled graph, after differentiation, replaces the products of many rows (edges, atoms) with a layer's
weights. Their number is a symbol there, so that the rows can be told from the columns.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._inductor.custom_graph_pass import CustomGraphPass, get_hash_for_files
from torch.fx import Graph, Node

FEW = 16
"""Columns from which the default product of two transposed matrices is fast whichever comes first."""

_library = torch.library.Library("keel", "DEF")
_library.define("product(Tensor x, Tensor y, Tensor? bias) -> Tensor")


def _product(x: Tensor, y: Tensor, bias: Tensor | None) -> Tensor:
    """Return x y + bias."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, y.t(), bias, "none", [], "")
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
        """Tell compiled code of this pass from that of others."""
        return get_hash_for_files((__file__,))


def available() -> bool:
    """Return whether this PyTorch has oneDNN."""
    return bool(torch.backends.mkldnn.is_available())


def _replace(graph: Graph, node: Node) -> None:
    arguments = [a for a in node.args if isinstance(a, Node)]
    values = [a.meta["val"] for a in arguments]
    if len(values) != len(node.args) or node.kwargs or any(v.dtype != torch.float32 for v in values):
        return
    x, y = arguments[-2:]
    bias = arguments[0] if len(arguments) == 3 else None
    if values[0].device.type != "cpu" or (bias is not None and values[0].dim() != 1):
        return
    (rows, inner), columns = values[-2].shape, values[-1].shape[1]
    if not isinstance(rows, int):
        node.target, node.args = torch.ops.keel.product.default, (x, y, bias)
    elif bias is None and not isinstance(inner, int) and isinstance(columns, int) and columns <= FEW < rows:
        with graph.inserting_before(node):
            turned = (_transposed(graph, y), _transposed(graph, x), None)
            result = graph.call_function(torch.ops.keel.product.default, turned)
            result.meta["val"] = node.meta["val"].new_empty(columns, rows)
            node.replace_all_uses_with(_transposed(graph, result))
        graph.erase_node(node)


def _transposed(graph: Graph, matrix: Node) -> Node:
    result = graph.call_function(torch.ops.aten.permute.default, (matrix, [1, 0]))
    result.meta["val"] = matrix.meta["val"].permute(1, 0)
    return result

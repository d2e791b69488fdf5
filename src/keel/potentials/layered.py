"""Networks evaluated layer by layer with compiled code.

A network is a chain of blocks: the geometry of the edges, layers that change what the atoms carry, an output. The
gradient of the energy is the chain of their pullbacks (vector-Jacobian products) in reverse:

    s_0, g = geometry(r);    s_l = layer_l(s_{l-1}, g);    E = sum output(s_L)
    ds_L = dE/ds_L;          ds_{l-1}, dg_l = pullback of layer_l at (s_{l-1}, g) on ds_l
    dE/dr = pullback of the geometry on sum_l dg_l

Blocks and pullbacks are compiled one by one, each kind once however many layers there are, and can be differentiated
with respect to the parameters. A pullback computes its block again, so that only the states are kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from keel.potentials.compiled import compiled


class NotCompiledError(Exception):
    """A block could not be compiled."""


def energies_and_gradient(
    geometry: nn.Module,
    start: tuple[Tensor, ...],
    layers: Sequence[nn.Module],
    output: nn.Module,
    vectors: Tensor,
    constants: tuple[Tensor, ...],
) -> tuple[Tensor, Tensor]:
    """Return atomic energies (N,) and the gradient of their sum with respect to the edge vectors (E, 3).

    Parameters
    ----------
    geometry
        Tuple of tensors from ``vectors``.
    start
        State before the first layer.
    layers
        New state from (state, geometry, *constants).
    output
        Atomic energies from the last state.
    vectors
        Edge vectors, shape (E, 3).
    constants
        What the layers need besides, e.g. the edges' atoms.

    Raises
    ------
    NotCompiledError
        If a block cannot be compiled.
    """
    g = _run(value, geometry, (vectors,), ())
    states = [start]
    for layer in layers:
        states.append(_run(value, layer, (states[-1], g), constants))
    energies = _run(value, output, (states[-1],), ())
    (gradient,) = _run(pullback, output, (states[-1],), (), torch.ones_like(energies))
    total = None
    for layer, state in zip(reversed(layers), reversed(states[:-1]), strict=True):
        gradient, part = _run(pullback, layer, (state, g), constants, gradient)
        total = part if total is None else type(part)(*(a + b for a, b in zip(total, part, strict=True)))
    (result,) = _run(pullback, geometry, (vectors,), (), total)
    return energies, result


def value(module: nn.Module, inputs: tuple[Any, ...], constants: tuple[Tensor, ...]) -> Any:
    """Return module(*inputs, *constants)."""
    return module(*inputs, *constants)


def pullback(module: nn.Module, inputs: tuple[Any, ...], constants: tuple[Tensor, ...], gradient: Any) -> Any:
    """Return the gradient with respect to each input, given that with respect to the value."""
    transpose = torch.func.vjp(lambda *x: module(*x, *constants), *inputs)[1]
    return transpose(gradient)


def _run(function: Callable[..., Any], *arguments: Any) -> Any:
    result = compiled(function, *arguments)
    if result is None:
        raise NotCompiledError
    return result

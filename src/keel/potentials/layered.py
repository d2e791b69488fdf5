"""Networks as chains: the geometry of the edges, layers that change what the atoms carry, an output.

The gradient of the energy is the chain of the blocks' pullbacks (vector-Jacobian products) in reverse:

    s_0, g = geometry(r);    s_l = layer_l(s_{l-1}, g);    E = sum output(s_L)
    ds_L = dE/ds_L;          ds_{l-1}, dg_l = pullback of layer_l at (s_{l-1}, g) on ds_l
    dE/dr = pullback of the geometry on sum_l dg_l

A pullback computes its block again, so that only the states are kept in memory (gradient checkpointing). Blocks and
pullbacks may be compiled one by one, each kind once however many layers there are, and be differentiated with respect
to the parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from keel.potentials.compiled import compiled

State = tuple[Tensor, ...]
"""What the atoms, and perhaps the edges, carry from layer to layer."""


class Chain(NamedTuple):
    """A network that has seen a batch, but not yet the edge vectors.

    Parameters
    ----------
    start
        State before the first layer.
    geometry
        Tuple of tensors from (edge vectors, *constants).
    layers
        Each the new state from (state, geometry, *constants).
    output
        Energies of the atoms, shape (N,), from the last state.
    constants
        What the blocks need besides, e.g. the edges' atoms.
    """

    start: State
    geometry: Callable[..., tuple[Tensor, ...]]
    layers: Iterable[Callable[..., State]]
    output: Callable[[State], Tensor]
    constants: tuple[Tensor, ...]


class NotCompiledError(Exception):
    """A block could not be compiled."""


def atomic_energies(chain: Chain, vectors: Tensor) -> Tensor:
    """Return the energies of the atoms, shape (N,), from edge vectors (E, 3)."""
    geometry, state = chain.geometry(vectors, *chain.constants), chain.start
    for layer in chain.layers:
        state = layer(state, geometry, *chain.constants)
    return chain.output(state)


def energies_and_gradient(chain: Chain, vectors: Tensor, *, compile: bool) -> tuple[Tensor, Tensor]:
    """Return the energies of the atoms (N,) and the gradient of their sum with respect to the edge vectors (E, 3).

    Raises
    ------
    NotCompiledError
        If a block shall be compiled and cannot.
    """
    run = _compiled if compile else _plain
    g = run(value, chain.geometry, (vectors,), chain.constants)
    layers, states = list(chain.layers), [chain.start]
    for layer in layers:
        states.append(run(value, layer, (states[-1], g), chain.constants))
    energies = run(value, chain.output, (states[-1],), ())
    (gradient,) = run(pullback, chain.output, (states.pop(),), (), torch.ones_like(energies))
    total = None
    for layer in reversed(layers):
        gradient, part = run(pullback, layer, (states.pop(), g), chain.constants, gradient)
        total = part if total is None else tree_map(torch.add, total, part)
    (result,) = run(pullback, chain.geometry, (vectors,), chain.constants, total)
    return energies, result


def value(block: Callable[..., Any], inputs: tuple[Any, ...], constants: tuple[Tensor, ...]) -> Any:
    """Return block(*inputs, *constants)."""
    return block(*inputs, *constants)


def pullback(block: Callable[..., Any], inputs: tuple[Any, ...], constants: tuple[Tensor, ...], gradient: Any) -> Any:
    """Return the gradient with respect to each input, given that with respect to the value."""
    transpose = torch.func.vjp(lambda *x: block(*x, *constants), *inputs)[1]
    return transpose(gradient)


def _plain(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _compiled(function: Callable[..., Any], *arguments: Any) -> Any:
    result = compiled(function, *arguments)
    if result is None:
        raise NotCompiledError
    return result

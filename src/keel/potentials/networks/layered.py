"""Networks as chains: the geometry of the edges, layers that update the features of the atoms, an output.

The gradient of the energy is the chain of the blocks' pullbacks (vector-Jacobian products) in reverse:

    s_0, g = geometry(r);    s_l = layer_l(s_{l-1}, g);    E = sum output(s_L)
    ds_L = dE/ds_L;          ds_{l-1}, dg_l = pullback of layer_l at (s_{l-1}, g) on ds_l
    dE/dr = pullback of the geometry on sum_l dg_l

A pullback computes its block again, so that only the states are kept in memory (gradient checkpointing). Blocks and
pullbacks may be compiled one by one, each kind once however many layers there are, and be differentiated with respect
to the parameters.

A batch may be cut into tiles: ranges of atoms with the edges that start there, and the neighbours these need. Tiles
pass through a layer one after the other and then exchange the new states of their atoms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from keel.potentials.compiling.compiled import compiled
from keel.potentials.networks.gather import gather, scatter

State = tuple[Tensor, ...]
"""Features of the atoms, and possibly of the edges, passed from layer to layer."""


class Chain(NamedTuple):
    """A network applied to a batch, but not yet to its edge vectors.

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
        Further arguments of the blocks, e.g. the edges' atoms.
    edge_states
        How many tensors at the end of a state, once it has passed a layer, belong to edges; the others to atoms.
    """

    start: State
    geometry: Callable[..., tuple[Tensor, ...]]
    layers: Iterable[Callable[..., State]]
    output: Callable[[State], Tensor]
    constants: tuple[Tensor, ...]
    edge_states: int = 0


class Tile(NamedTuple):
    """Consecutive atoms with all edges that start there.

    Parameters
    ----------
    chain
        The network applied to these atoms and edges only.
    first, last
        Its own atoms are those from the first up to, but not including, the last.
    edges
        Its edges among those of the batch.
    atoms
        Atoms of the batch in this tile, its own first, then those that are only neighbours.
    """

    chain: Chain
    first: int
    last: int
    edges: slice
    atoms: Tensor

    @property
    def own(self) -> int:
        """Number of its own atoms."""
        return self.last - self.first


class NotCompiledError(Exception):
    """A block could not be compiled."""


def atomic_energies(chain: Chain, vectors: Tensor) -> Tensor:
    """Return the energies of the atoms, shape (N,), from edge vectors (E, 3)."""
    geometry, state = chain.geometry(vectors, *chain.constants), chain.start
    for layer in chain.layers:
        state = layer(state, geometry, *chain.constants)
    return chain.output(state)


def energies_and_gradient(tiles: Sequence[Tile], vectors: Tensor, *, compile: bool) -> tuple[Tensor, Tensor]:
    """Return the energies of the atoms (N,) and the gradient of their sum with respect to the edge vectors (E, 3).

    Raises
    ------
    NotCompiledError
        If a block was to be compiled but cannot be.
    """
    run = _compiled if compile else _plain
    chains, parts = [t.chain for t in tiles], [vectors[t.edges] for t in tiles]
    geometry = [run(value, c.geometry, (part,), c.constants) for c, part in zip(chains, parts, strict=True)]
    layers, states = list(chains[0].layers), [[c.start for c in chains]]
    for layer in layers:
        pieces = zip(chains, states[-1], geometry, strict=True)
        states.append(_exchanged([run(value, layer, (state, g), c.constants) for c, state, g in pieces], tiles))
    ends = [_own(state, tile) for state, tile in zip(states.pop(), tiles, strict=True)]
    energies = [run(value, c.output, (end,), ()) for c, end in zip(chains, ends, strict=True)]
    gradients = [
        run(pullback, c.output, (end,), (), torch.ones_like(e))[0]
        for c, end, e in zip(chains, ends, energies, strict=True)
    ]
    del ends
    gradients = [_padded(gradient, tile) for gradient, tile in zip(gradients, tiles, strict=True)]
    totals: list[Any] = [None] * len(tiles)
    for layer in reversed(layers):
        for k, (c, state) in enumerate(zip(chains, states.pop(), strict=True)):
            gradients[k], part = run(pullback, layer, (state, geometry[k]), c.constants, gradients[k])
            totals[k] = part if totals[k] is None else tree_map(torch.add, totals[k], part)
        gradients = _collected(gradients, tiles) if states else gradients
    slopes = [
        run(pullback, c.geometry, (part,), c.constants, total)[0]
        for c, part, total in zip(chains, parts, totals, strict=True)
    ]
    return torch.cat(energies), torch.cat(slopes)


def _of_atoms(state: State, tile: Tile) -> tuple[State, State]:
    """Return the tensors of a state that belong to atoms, and those of edges."""
    n = len(state) - tile.chain.edge_states
    return state[:n], state[n:]


def _own(state: State, tile: Tile) -> State:
    """Return the state without the atoms that are only neighbours."""
    atoms, edges = _of_atoms(state, tile)
    return (*(x[: tile.own] for x in atoms), *edges)


def _padded(state: State, tile: Tile) -> State:
    """Return the state with zeros for the atoms that are only neighbours."""
    atoms, edges = _of_atoms(state, tile)
    rest = len(tile.atoms) - tile.own
    return (*(torch.cat([x, x.new_zeros(rest, *x.shape[1:])]) for x in atoms), *edges)


def _exchanged(states: list[State], tiles: Sequence[Tile]) -> list[State]:
    """Return the states in which each tile has learned from the others what became of its neighbours."""
    if len(tiles) == 1:
        return states
    parts = [_of_atoms(_own(state, tile), tile) for state, tile in zip(states, tiles, strict=True)]
    everywhere = [torch.cat(x) for x in zip(*(atoms for atoms, _ in parts), strict=True)]
    return [(*(gather(x, t.atoms) for x in everywhere), *edges) for t, (_, edges) in zip(tiles, parts, strict=True)]


def _collected(gradients: list[State], tiles: Sequence[Tile]) -> list[State]:
    """Return what :func:`_exchanged` makes of gradients: those of neighbours go to the tiles that own them."""
    if len(tiles) == 1:
        return gradients
    parts = [_of_atoms(gradient, tile) for gradient, tile in zip(gradients, tiles, strict=True)]
    index, n = torch.cat([t.atoms for t in tiles]), tiles[-1].last
    everywhere = [scatter(torch.cat(x), index, n) for x in zip(*(atoms for atoms, _ in parts), strict=True)]
    return [
        _padded((*(x[t.first : t.last] for x in everywhere), *edges), t)
        for t, (_, edges) in zip(tiles, parts, strict=True)
    ]


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

"""The blocks of the TorchMD-NET equivariant transformer.

A pair of atoms occurs once in the list: its radial features are those of both its messages, i <- j and j <- i. An atom
also sends a message to itself, whose radial features are the same for all atoms: it needs no edge.

The state is the scalars x (N, C), and the vectors V (3, N, C) unless all are zero or unused.

Vectors are (3, N, C), so that each component is an array of its own like the scalars: compilers merge operations on
arrays of one shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from keel.potentials.networks.gather import gather, scatter
from keel.potentials.networks.layered import State
from keel.potentials.networks.radial import cosine_cutoff

# log 2 in float32, as the reference has it in every precision.
_LOG_2 = 0.6931471824645996


def _shifted_softplus(x: Tensor) -> Tensor:
    return functional.softplus(x) - _LOG_2


ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "silu": functional.silu,
    "swish": functional.silu,
    "ssp": _shifted_softplus,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "mish": functional.mish,
}

Filter = tuple[Tensor, Tensor]


class Geometry(NamedTuple):
    """What the blocks need of the edge vectors of P pairs, with K radial functions.

    The last row of ``basis``, ``cutoff`` and ``inside`` belongs to an atom and itself.

    Parameters
    ----------
    basis
        Radial basis of the distances, shape (P + 1, K).
    cutoff
        Cutoff function of the distances, shape (P + 1, 1).
    inside
        1 between the cutoffs, 0 elsewhere, shape (P + 1, 1).
    direction
        Components of the unit vectors from i to j, shape (3, P, 1).
    """

    basis: Tensor
    cutoff: Tensor
    inside: Tensor
    direction: Tensor


class PairGeometry(nn.Module):
    """Distances and directions of pairs.

    Parameters
    ----------
    basis
        Radial basis.
    cutoff, lower
        Where the cutoff function vanishes, in angstrom.
    softening
        eps in the distance sqrt(r^2 + eps^2), in angstrom.
    """

    def __init__(self, basis: nn.Module, cutoff: float, lower: float, softening: float) -> None:
        super().__init__()
        self.basis, self.cutoff, self.lower, self.softening = basis, cutoff, lower, softening

    def forward(self, vectors: Tensor, *_: Tensor) -> Geometry:
        """Return the geometry of edge vectors (P, 3) in angstrom."""
        components = torch.stack(vectors.unbind(1))
        r = soft_norm(components, self.softening)
        r_and_own = torch.cat([r, r.new_zeros(1)])
        inside = torch.cat([(r > self.lower).to(r.dtype), r.new_ones(1)])
        return Geometry(
            basis=self.basis(r_and_own),
            cutoff=cosine_cutoff(r_and_own, self.cutoff, self.lower)[:, None],
            inside=inside[:, None],
            direction=(components / r)[:, :, None],
        )


class NeighbourEmbedding(nn.Module):
    """x_i' = W_c [x_i, sum_j (W e(r_ij) + b) f_c(r_ij) y_j] + b_c, with second embeddings y of the elements (eq. 3)."""

    def __init__(self, channels: int, basis: int) -> None:
        super().__init__()
        self.distance = linear(basis, channels)
        self.combine = linear(2 * channels, channels)

    def forward(self, state: State, geometry: Geometry, i: Tensor, j: Tensor) -> State:
        """Return the scalars (N, C) that follow from the embeddings x and y, both (N, C)."""
        x, y = state
        w = self.distance(geometry.basis[:-1]) * geometry.cutoff[:-1]
        total = scatter(w * gather(y, j), i, y.shape[0]) + scatter(w * gather(y, i), j, y.shape[0])
        return (self.combine(torch.cat([x, total], dim=1)),)


class Attention(nn.Module):
    """Equivariant attention over the neighbours and the atom itself (section 3 of the paper).

        a_ij = act(sum_d q_i k_j D^K_ij) f_c(r_ij),        D^K, D^V = act(W e(r_ij) + b)
        [s0, s1, s2]_ij = v_j D^V_ij                       (smooth: f_c multiplies these instead of a)
        y_i = sum_j s0_ij a_ij,                            w_i = sum_j s1_ij V_j + s2_ij d_ij
        x_i += o2_i <U1 V_i, U2 V_i> + o3_i,               V_i += o1_i U3 V_i + w_i,        [o1, o2, o3] = W_o y + b_o

    Factors that belong to atom j alone are multiplied before they go to the edges (v1_j V_j), those that belong to the
    distance once for both messages of a pair. No message is made from vectors V that are still zero, or for vectors
    that are not used afterwards.

    Parameters
    ----------
    channels, heads, basis
        Numbers C of channels, H of attention heads, K of radial functions.
    influence
        What the distance filters: ``"keys"``, ``"values"``, ``"both"`` or ``"none"``.
    activations
        Names of the activation functions of filters and attention.
    vector_cutoff
        Whether the cutoff function multiplies all messages, or only the attention.
    last
        The vectors are not used afterwards.
    """

    spread: Tensor

    def __init__(
        self,
        channels: int,
        heads: int,
        basis: int,
        influence: str,
        activations: tuple[str, str],
        vector_cutoff: bool,
        last: bool,
    ) -> None:
        super().__init__()
        self.vector_cutoff, self.last = vector_cutoff, last
        self.act, self.attn_act = (ACTIVATIONS[name] for name in activations)
        self.norm = nn.LayerNorm(channels)
        self.qkv = linear(channels, channels, channels, 3 * channels)
        self.o = linear(channels, 3 * channels)
        self.u = linear(channels, 3 * channels, bias=False)
        self.dk = linear(basis, channels) if influence in ("keys", "both") else None
        self.dv = linear(basis, 3 * channels) if influence in ("values", "both") else None
        # Sums over the channels of a head as products with a matrix of 0 and 1: no change of shape interrupts the
        # loops of compiled code.
        self.register_buffer("spread", torch.eye(heads).repeat_interleave(channels // heads, dim=1), persistent=False)

    def forward(self, state: State, geometry: Geometry, i: Tensor, j: Tensor) -> State:
        """Return the new state."""
        x, *v = state
        y, w = self.messages(self.norm(x), v[0] if v else None, geometry, i, j)
        o1, o2, o3 = self.o(y).chunk(3, dim=1)
        if not v:
            return (x + o3,) if w is None else (x + o3, w)
        u1, u2, u3 = self.u(v[0]).chunk(3, dim=2)
        x = x + o2 * (u1 * u2).sum(dim=0) + o3
        return (x,) if w is None else (x, v[0] + o1 * u3 + w)

    def messages(
        self, x: Tensor, v: Tensor | None, geometry: Geometry, i: Tensor, j: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return the sums of the messages y (N, C) and w (3, N, C) of all neighbours and the atom itself."""
        q, k, s0, s1, s2 = self.qkv(x).chunk(5, dim=1)
        key, (f0, own0), (f1, own1), (f2, _) = self.filters(geometry)
        a_ij, a_ji, a_own = self.attention(q, k, key, geometry.cutoff, i, j)
        y = scatter(f0 * gather(s0, j) * a_ij, i, x.shape[0]) + scatter(f0 * gather(s0, i) * a_ji, j, x.shape[0])
        y = y + own0 * s0 * a_own
        if self.last:
            return y, None
        t_ij, t_ji = f2 * gather(s2, j), f2 * gather(s2, i)
        w = []
        vs = [None] * 3 if v is None else v.unbind(0)
        for v_n, d in zip(vs, geometry.direction.unbind(0), strict=True):
            w_ij, w_ji = t_ij * d, -t_ji * d
            if v_n is not None:
                s1v = s1 * v_n
                w_ij, w_ji = w_ij + f1 * gather(s1v, j), w_ji + f1 * gather(s1v, i)
            total = scatter(w_ij, i, x.shape[0]) + scatter(w_ji, j, x.shape[0])
            w.append(total if v_n is None else total + own1 * s1v)
        return y, torch.stack(w)

    def filters(self, geometry: Geometry) -> tuple[Tensor | None, Filter, Filter, Filter]:
        """Return the filters of keys (P + 1, C), if any, and of s0, s1, s2: of pairs, and of atoms themselves."""
        key = None if self.dk is None else self.act(self.dk(geometry.basis))
        inside = geometry.cutoff if self.vector_cutoff else geometry.inside
        values = [inside if self.dv is None else self.act(third(self.dv, geometry.basis, n)) * inside for n in range(3)]
        s0, s1, s2 = ((f[:-1], f[-1:]) for f in values)
        return key, s0, s1, s2

    def attention(
        self, q: Tensor, k: Tensor, key: Tensor | None, cutoff: Tensor, i: Tensor, j: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the attention of each channel's head: i to j (P, C), j to i (P, C), atoms to themselves (N, C)."""
        parts = [gather(q, i) * gather(k, j), gather(q, j) * gather(k, i), q * k]
        if key is not None:
            parts = [part * rows for part, rows in zip(parts, (key[:-1], key[:-1], key[-1:]), strict=True)]
        attention = self.attn_act(functional.linear(torch.cat(parts), self.spread)) @ self.spread
        a_ij, a_ji, a_own = attention.split([i.shape[0], i.shape[0], q.shape[0]])
        if self.vector_cutoff:
            return a_ij, a_ji, a_own
        return a_ij * cutoff[:-1], a_ji * cutoff[:-1], a_own * cutoff[-1:]


def soft_norm(vectors: Tensor, softening: float) -> Tensor:
    """Return sqrt(v^2 + eps^2) of vectors along the first dimension: every derivative is finite at v = 0."""
    return (vectors.square().sum(dim=0) + softening**2).sqrt()


def linear(inputs: int, *outputs: int, bias: bool = True) -> nn.Linear:
    """Return linear layers with Glorot's weights and zero bias, joined to one."""
    layer = nn.Linear(inputs, sum(outputs), bias=bias)
    for part in layer.weight.split(outputs):
        nn.init.xavier_uniform_(part)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def third(layer: nn.Linear, x: Tensor, n: int) -> Tensor:
    """Return the n-th third of the outputs of a linear layer."""
    size = layer.out_features // 3
    rows = slice(n * size, (n + 1) * size)
    return functional.linear(x, layer.weight[rows], layer.bias[rows])

"""The blocks of the TorchMD-NET equivariant transformer.

A pair of atoms stands once in the list: its radial features are those of both its messages, i <- j and j <- i. An atom
also sends a message to itself, whose radial features are the same for all atoms: it needs no edge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

# log 2 in float32, as the reference has it in every precision.
_LOG_2 = 0.6931471824645996

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "silu": functional.silu,
    "swish": functional.silu,
    "ssp": lambda x: functional.softplus(x) - _LOG_2,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "mish": functional.mish,
}


class Pairs(NamedTuple):
    """What the blocks need of the neighbour list, each of the P pairs once.

    Parameters
    ----------
    i, j
        The two atoms, shape (P,).
    direction
        Unit vectors from i to j, shape (P, 3).
    basis
        Radial basis of the distance, shape (P, K).
    cutoff
        Cutoff function of the distance, shape (P, 1).
    inside
        1 where the distance exceeds the lower cutoff, shape (P, 1), or None where there is none.
    """

    i: Tensor
    j: Tensor
    direction: Tensor
    basis: Tensor
    cutoff: Tensor
    inside: Tensor | None


class Itself(NamedTuple):
    """The same of an atom and itself: basis (1, K) and cutoff function at distance zero."""

    basis: Tensor
    cutoff: float


class NeighbourEmbedding(nn.Module):
    """x_i' = W_c [x_i, sum_j (W e(r_ij) + b) f_c(r_ij) y_{z_j}] + b_c, with a second embedding y (eq. 3)."""

    def __init__(self, species: int, channels: int, basis: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(species, channels)
        self.distance = linear(basis, channels)
        self.combine = linear(2 * channels, channels)

    def forward(self, x: Tensor, species: Tensor, pairs: Pairs) -> Tensor:
        """Return the new atom vectors, shape (N, C)."""
        y = self.embedding(species)
        w = self.distance(pairs.basis) * pairs.cutoff
        total = scatter(w * gather(y, pairs.j), pairs.i, len(x)) + scatter(w * gather(y, pairs.i), pairs.j, len(x))
        combined: Tensor = self.combine(torch.cat([x, total], dim=1))
        return combined


class Attention(nn.Module):
    """Equivariant attention over the neighbours and the atom itself (section 3 of the paper).

        a_ij = act(sum_d q_i k_j D^K_ij),        D^K, D^V = silu(W e(r_ij) + b)
        [s0, s1, s2]_ij = v_j D^V_ij f_c(r_ij)   (the reference may multiply a_ij by f_c instead)
        y_i = sum_j s0_ij a_ij,                  w_i = sum_j s2_ij d_ij + s1_ij V_j
        x_i += o3_i + o2_i <U1 V_i, U2 V_i>,     V_i += o1_i U3 V_i + w_i,        [o1, o2, o3] = W_o y + b_o

    Blocks of rows that a place in the network does not use are left out of the products: s1 and o2 where there are no
    vectors V yet, s1, s2 and o1 where nobody reads V afterwards. The order of the blocks allows it: s0, s2, s1; o3,
    o2, o1; U1, U2, U3.
    """

    def __init__(
        self, channels: int, heads: int, basis: int, influence: str, activations: tuple[str, str], vector_cutoff: bool
    ) -> None:
        super().__init__()
        self.heads, self.vector_cutoff = heads, vector_cutoff
        self.act, self.attn_act = (ACTIVATIONS[name] for name in activations)
        self.norm = nn.LayerNorm(channels)
        self.q, self.k = linear(channels, channels), linear(channels, channels)
        self.v, self.o = linear(channels, 3 * channels), linear(channels, 3 * channels)
        self.u = linear(channels, 3 * channels, bias=False)
        self.dk = linear(basis, channels) if influence in ("keys", "both") else None
        self.dv = linear(basis, 3 * channels) if influence in ("values", "both") else None

    def forward(
        self, x: Tensor, vectors: Tensor | None, pairs: Pairs, itself: Itself, *, last: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return the new atom vectors x (N, C) and V (N, 3, C); None where ``last`` says that nobody reads V."""
        n, c = x.shape
        values = c * (1 if last else 2 if vectors is None else 3)
        x_ = self.norm(x)
        q, k, v = self.q(x_), self.k(x_), rows(self.v, x_, values)
        y, w = self.message(q, k, v, vectors, *self.radial(itself.basis, values), itself.cutoff, None, None)
        dk, dv = self.radial(pairs.basis, values)
        for a, b, direction in ((pairs.i, pairs.j, pairs.direction), (pairs.j, pairs.i, -pairs.direction)):
            v_b = None if vectors is None or last else gather(vectors, b)
            y_ab, w_ab = self.message(
                gather(q, a), gather(k, b), gather(v, b), v_b, dk, dv, pairs.cutoff, direction, pairs.inside
            )
            y = y + scatter(y_ab, a, n)
            if w_ab is not None:
                w = scatter(w_ab, a, n) if w is None else w + scatter(w_ab, a, n)
        return self.update(x, vectors, y, None if last else w)

    def radial(self, basis: Tensor, values: int) -> tuple[Tensor | None, Tensor | None]:
        """Return D^K (E, C) and the first ``values`` columns of D^V, or None where distances have no influence."""
        dk = None if self.dk is None else self.act(self.dk(basis))
        dv = None if self.dv is None else self.act(rows(self.dv, basis, values))
        return dk, dv

    def message(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        vectors: Tensor | None,
        dk: Tensor | None,
        dv: Tensor | None,
        cutoff: Tensor | float,
        direction: Tensor | None,
        inside: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the messages s0 a (E, C) and s2 d + s1 V (E, 3, C) of E edges."""
        e, c = q.shape
        by_head = (e, self.heads, c // self.heads)
        product = q * k if dk is None else q * k * dk
        attention = self.attn_act(product.view(by_head).sum(dim=2))
        v = v if dv is None else v * dv
        if self.vector_cutoff:
            v = v * cutoff
        else:
            attention = attention * cutoff
        s0, *s = v.split(c, dim=1)
        y = (s0.reshape(by_head) * attention[:, :, None]).view(e, c)
        if not s:
            return y, None
        w = None if direction is None else s[0][:, None] * direction[:, :, None]
        if vectors is not None:
            w = s[1][:, None] * vectors if w is None else w + s[1][:, None] * vectors
        if inside is not None and w is not None and not self.vector_cutoff:
            w = w * inside[:, :, None]
        return y, w

    def update(self, x: Tensor, vectors: Tensor | None, y: Tensor, w: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return x and V after the messages y (N, C) and w (N, 3, C)."""
        c = x.shape[1]
        if vectors is None:
            return x + rows(self.o, y, c), w
        used = 2 if w is None else 3
        o3, o2, *o1 = rows(self.o, y, used * c).split(c, dim=1)
        u1, u2, *u3 = rows(self.u, vectors, used * c).split(c, dim=2)
        x = x + o3 + o2 * (u1 * u2).sum(dim=1)
        return x, None if w is None else vectors + w + u3[0] * o1[0][:, None]


class GatedBlock(nn.Module):
    """Gated equivariant block of the output network (Schuett et al., ICML 2021, fig. 3).

        [x', g] = W2 act(W1 [x, |U1 V|] + b1) + b2,   V' = g U2 V

    Parameters
    ----------
    channels, outputs
        Number of channels before and after.
    vectors
        Whether V' is wanted.
    softening
        eps in the norm sqrt(v^2 + eps^2) - eps, whose derivatives are finite at v = 0.
    """

    def __init__(self, channels: int, outputs: int, activation: str, vectors: bool, softening: float) -> None:
        super().__init__()
        self.act, self.outputs, self.softening = ACTIVATIONS[activation], outputs, softening
        self.u1 = linear(channels, channels, bias=False)
        self.u2 = linear(channels, outputs, bias=False) if vectors else None
        self.hidden = linear(2 * channels, channels)
        self.output = linear(channels, 2 * outputs if vectors else outputs)

    def forward(self, x: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return x' (N, outputs) and V' (N, 3, outputs), or None where it is not wanted."""
        norm = soft_norm(self.u1(vectors), self.softening) - self.softening
        x = self.output(self.act(self.hidden(torch.cat([x, norm], dim=1))))
        if self.u2 is None:
            return x, None
        x, gate = x.split(self.outputs, dim=1)
        return x, gate[:, None] * self.u2(vectors)


class ScalarHead(nn.Module):
    """E_i = W2 act(W1 x_i + b1) + b2."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]
        self.hidden, self.output = linear(channels, channels // 2), linear(channels // 2, 1)

    def forward(self, x: Tensor, vectors: Tensor | None) -> Tensor:
        """Return the energy of each atom, shape (N,)."""
        energies: Tensor = self.output(self.act(self.hidden(x)))[:, 0]
        return energies


class EquivariantScalarHead(nn.Module):
    """Two gated equivariant blocks, so that lengths of the vectors V enter the energy."""

    def __init__(self, channels: int, activation: str, softening: float) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]
        self.first = GatedBlock(channels, channels // 2, activation, True, softening)
        self.second = GatedBlock(channels // 2, 1, activation, False, softening)

    def forward(self, x: Tensor, vectors: Tensor | None) -> Tensor:
        """Return the energy of each atom, shape (N,)."""
        assert vectors is not None
        x, gated = self.first(x, vectors)
        assert gated is not None
        energies: Tensor = self.second(self.act(x), gated)[0][:, 0]
        return energies


def gather(x: Tensor, index: Tensor) -> Tensor:
    """Return values of atoms (N, ...) at the edges, shape (E, ...)."""
    return x.index_select(0, index)


def scatter(values: Tensor, index: Tensor, n: int) -> Tensor:
    """Return the sums over the edges of each atom (N, ...) of values (E, ...)."""
    return values.new_zeros(n, *values.shape[1:]).index_add(0, index, values)


def soft_norm(vectors: Tensor, softening: float) -> Tensor:
    """Return sqrt(v^2 + eps^2) of vectors along dimension 1: every derivative is finite at v = 0."""
    return (vectors.square().sum(dim=1) + softening**2).sqrt()


def linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    """Return a linear layer with Glorot's weights and zero bias."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def rows(layer: nn.Linear, x: Tensor, outputs: int) -> Tensor:
    """Return the first outputs of a linear layer."""
    return functional.linear(x, layer.weight[:outputs], None if layer.bias is None else layer.bias[:outputs])

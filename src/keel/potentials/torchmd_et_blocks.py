"""The blocks of the TorchMD-NET equivariant transformer.

A pair of atoms stands once in the list: its radial features are those of both its messages, i <- j and j <- i. An atom
also sends a message to itself, whose radial features are the same for all atoms: it needs no edge.

Vectors are (3, N, C), so that each component is an array of its own like the scalars: compilers merge operations on
arrays of one shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from keel.potentials.gather import gather, scatter
from keel.potentials.radial import cosine_cutoff

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

State = tuple[Tensor, ...]
"""What the atoms carry: scalars x (N, C), and vectors V (3, N, C) unless all are zero or nobody reads them."""


class Geometry(NamedTuple):
    """What the blocks need of the edge vectors of P pairs, with K radial functions.

    Parameters
    ----------
    basis
        Radial basis of the distances, shape (P, K).
    own_basis
        Radial basis at distance zero, shape (1, K).
    cutoff
        Cutoff function of the distances, shape (P, 1).
    direction
        Components of the unit vectors from i to j, shape (3, P, 1).
    """

    basis: Tensor
    own_basis: Tensor
    cutoff: Tensor
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

    def forward(self, vectors: Tensor) -> Geometry:
        """Return the geometry of edge vectors (P, 3) in angstrom."""
        components = torch.stack(vectors.unbind(1))
        r = soft_norm(components, self.softening)
        return Geometry(
            basis=self.basis(r),
            own_basis=self.basis(r.new_zeros(1)),
            cutoff=cosine_cutoff(r, self.cutoff, self.lower)[:, None],
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
        w = self.distance(geometry.basis) * geometry.cutoff
        total = scatter(w * gather(y, j), i, len(y)) + scatter(w * gather(y, i), j, len(y))
        return (self.combine(torch.cat([x, total], dim=1)),)


class Attention(nn.Module):
    """Equivariant attention over the neighbours and the atom itself (section 3 of the paper).

        a_ij = act(sum_d q_i k_j D^K_ij) f_c(r_ij),        D^K, D^V = act(W e(r_ij) + b)
        [s0, s1, s2]_ij = v_j D^V_ij                       (smooth: f_c multiplies these instead of a)
        y_i = sum_j s0_ij a_ij,                            w_i = sum_j s1_ij V_j + s2_ij d_ij
        x_i += o2_i <U1 V_i, U2 V_i> + o3_i,               V_i += o1_i U3 V_i + w_i,        [o1, o2, o3] = W_o y + b_o

    What belongs to atom j alone is multiplied before it goes to the edges (v1_j V_j), what belongs to the distance
    once for both messages of a pair. What nobody reads is not computed: s1, o2 where there are no vectors yet, s1, s2,
    o1 where the vectors are not read afterwards.

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
    own_cutoff
        Cutoff function of an atom and itself.
    last
        Nobody reads the vectors afterwards.
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
        own_cutoff: float,
        last: bool,
    ) -> None:
        super().__init__()
        self.vector_cutoff, self.own_cutoff, self.last = vector_cutoff, own_cutoff, last
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
        s1v = None if v is None or self.last else (s1 * v).unbind(0)
        y, w = self.own_message(q, k, s0, s1v, geometry.own_basis)
        inside = geometry.cutoff if self.vector_cutoff else (geometry.cutoff > 0).to(x.dtype)
        key, f0, f1, f2 = self.filters(geometry.basis, inside, s1v is not None)
        d = geometry.direction.unbind(0)
        for a, b, sign in ((i, j, 1.0), (j, i, -1.0)):
            attention = self.attention(gather(q, a), gather(k, b), key)
            if not self.vector_cutoff:
                attention = attention * geometry.cutoff
            y = y + scatter(f0 * gather(s0, b) * attention, a, len(x))
            if self.last:
                continue
            t = sign * f2 * gather(s2, b)
            parts = [t * d[n] if s1v is None else t * d[n] + f1 * gather(s1v[n], b) for n in range(3)]
            sums = [scatter(part, a, len(x)) for part in parts]
            w = sums if w is None else [total + part for total, part in zip(w, sums, strict=True)]
        return y, None if w is None else torch.stack(w)

    def own_message(
        self, q: Tensor, k: Tensor, s0: Tensor, s1v: tuple[Tensor, ...] | None, basis: Tensor
    ) -> tuple[Tensor, list[Tensor] | None]:
        """Return what atoms send to themselves: y (N, C), and the components of w (N, C) if there are vectors."""
        inside = basis.new_full((1, 1), self.own_cutoff if self.vector_cutoff else 1.0)
        key, f0, f1, _ = self.filters(basis, inside, s1v is not None)
        y = f0 * s0 * self.attention(q, k, key)
        if not self.vector_cutoff:
            y = y * self.own_cutoff
        return y, None if s1v is None else [f1 * part for part in s1v]

    def filters(self, basis: Tensor, inside: Tensor, vectors: bool) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
        """Return the filters of keys (P, C), or None, and of the values s0, s1, s2 (P, C or 1)."""
        key = None if self.dk is None else self.act(self.dk(basis))
        if self.dv is None:
            return key, inside, inside, inside
        read = (True, vectors, not self.last)
        values = [self.act(third(self.dv, basis, n)) * inside if read[n] else inside for n in range(3)]
        return key, values[0], values[1], values[2]

    def attention(self, q: Tensor, k: Tensor, key: Tensor | None) -> Tensor:
        """Return the attention of each channel's head, shape (P, C)."""
        product = q * k if key is None else q * k * key
        return self.attn_act(functional.linear(product, self.spread)) @ self.spread


class GatedBlock(nn.Module):
    """Gated equivariant block of the output network (Schuett et al., ICML 2021, fig. 3).

        [x', g] = W2 act(W1 [x, |U1 V|] + b1) + b2,   V' = g U2 V

    Parameters
    ----------
    channels, outputs
        Number of channels before and after.
    activation
        Name of the activation function.
    softening
        eps in the norm sqrt(v^2 + eps^2) - eps, whose derivatives are finite at v = 0.
    last
        V' is not wanted.
    """

    def __init__(self, channels: int, outputs: int, activation: str, softening: float, last: bool) -> None:
        super().__init__()
        self.act, self.softening, self.outputs = ACTIVATIONS[activation], softening, outputs
        self.u1 = linear(channels, channels, bias=False)
        self.u2 = None if last else linear(channels, outputs, bias=False)
        self.hidden = linear(2 * channels, channels)
        self.output = linear(channels, outputs if last else 2 * outputs)

    def forward(self, state: State) -> State:
        """Return x' (N, outputs), and V' (3, N, outputs) unless it is not wanted."""
        x, v = state
        norm = soft_norm(self.u1(v), self.softening) - self.softening
        x = self.output(self.act(self.hidden(torch.cat([x, norm], dim=1))))
        if self.u2 is None:
            return (x,)
        x, gate = x.split(self.outputs, dim=1)
        return x, gate * self.u2(v)


class ScalarHead(nn.Module):
    """E_i = W2 act(W1 norm(x_i) + b1) + b2."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        self.act, self.norm = ACTIVATIONS[activation], nn.LayerNorm(channels)
        self.hidden, self.output = linear(channels, channels // 2), linear(channels // 2, 1)

    def forward(self, state: State) -> Tensor:
        """Return the energy of each atom, shape (N,)."""
        energies: Tensor = self.output(self.act(self.hidden(self.norm(state[0]))))[:, 0]
        return energies


class EquivariantScalarHead(nn.Module):
    """Two gated equivariant blocks, so that lengths of the vectors V enter the energy."""

    def __init__(self, channels: int, activation: str, softening: float) -> None:
        super().__init__()
        self.act, self.norm = ACTIVATIONS[activation], nn.LayerNorm(channels)
        self.first = GatedBlock(channels, channels // 2, activation, softening, last=False)
        self.second = GatedBlock(channels // 2, 1, activation, softening, last=True)

    def forward(self, state: State) -> Tensor:
        """Return the energy of each atom, shape (N,)."""
        x, v = self.first((self.norm(state[0]), state[1]))
        energies: Tensor = self.second((self.act(x), v))[0][:, 0]
        return energies


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

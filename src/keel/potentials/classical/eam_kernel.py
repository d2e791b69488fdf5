"""The embedded-atom method over the pairs of a graph as machine code, in closed form.

pass 1    rho_i += f_j(r),  rho_j += f_i(r)                     over pairs, each once
pass 2    F(rho), F'(rho)                                       over atoms
pass 3    dE/dr = phi' + F'_i f_j' + F'_j f_i',  E_i += phi/2   over pairs
"""

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

from keel.jit import inlined, kernel
from keel.potentials.classical.contact import CLAMPED_WITHIN
from keel.potentials.classical.eam_terms import SWITCH_START

U = nb.uint64
"""Unsigned indices need no check for negative values."""


@kernel
def embeddings(rho: Any, species: Any, embedding: Any, delta: float, energies: Any, slopes: Any) -> None:
    """Pass 2: F = embedding (sqrt(delta) - sqrt(rho + delta)) into ``energies`` and F' into ``slopes``, both (N,)."""
    at_rest = math.sqrt(delta)
    for i in range(len(rho)):
        root = math.sqrt(rho[i] + delta)
        energies[i] = embedding[species[i]] * (at_rest - root)
        slopes[i] = -0.5 * embedding[species[i]] / root


@inlined
def switch(r: float, cutoff: float) -> tuple[float, float]:
    """Return the quintic switch, and its derivative."""
    width = (1.0 - SWITCH_START) * cutoff
    t = (r - SWITCH_START * cutoff) / width
    if t <= 0.0:
        return 1.0, 0.0
    if t >= 1.0:
        return 0.0, 0.0
    return 1.0 + t * t * t * (-10.0 + t * (15.0 - 6.0 * t)), -30.0 * (t * (1.0 - t)) ** 2 / width


@inlined
def felt(r: float, contact: float) -> tuple[float, float]:
    """Return the clamped distance of a pair, and its derivative (:func:`keel.potentials.classical.contact.clamped`)."""
    if r >= contact:
        return r, 1.0
    width = CLAMPED_WITHIN * contact
    u = max(0.0, (r - contact) / width + 1.0)
    return contact + width * (u * u * u * (1.0 - 0.5 * u) - 0.5), u * u * (3.0 - 2.0 * u)


@inlined
def density(at: float, dr: float, s: float, ds: float, own: Any) -> tuple[float, float]:
    """Return the density of a donor, and its derivative; ``own`` are beta, ln density + beta radius."""
    f = math.exp(own[1] - own[0] * at)
    return f * s, f * (ds - own[0] * s) * dr


@inlined
def pair(at: float, dr: float, s: float, ds: float, own: Any) -> tuple[float, float]:
    """Return phi and its derivative; ``own`` are alpha, alpha radius, repulsion and attraction."""
    e = math.exp(own[1] - own[0] * at)
    phi = (own[2] * e - own[3]) * e
    slope = own[0] * e * (own[3] - 2.0 * own[2] * e)
    return phi * s, (slope * s + phi * ds) * dr


@kernel
def densities(edges: Any, species: Any, of_pairs: Any, of_elements: Any, cutoff: float, rho: Any, slopes: Any) -> None:
    """Pass 1: ``rho`` (N,) is added to, f_j' and f_i' are written into ``slopes`` (E, 2).

    ``of_elements`` (elements, 3) are beta, ln density + beta radius, and embedding; ``of_pairs`` see :func:`gradients`.
    """
    vectors, i_of, j_of = edges
    for k in range(len(vectors)):
        q = U(k)
        i, j = U(i_of[q]), U(j_of[q])
        a, b = U(species[i]), U(species[j])
        x, y, z = vectors[q, U(0)], vectors[q, U(1)], vectors[q, U(2)]
        r, dr = felt(math.sqrt(x * x + y * y + z * z), of_pairs[a, b, U(4)])
        s, ds = switch(r, cutoff)
        f, df = density(r, dr, s, ds, of_elements[b])
        rho[i] += f
        slopes[q, U(0)] = df
        if a != b:
            f, df = density(r, dr, s, ds, of_elements[a])
        rho[j] += f
        slopes[q, U(1)] = df


@kernel
def gradients(
    edges: Any, species: Any, of_pairs: Any, cutoff: float, embedded: Any, slopes: Any, energies: Any, gradient: Any
) -> None:
    """Pass 3: dE/d vectors into ``gradient`` (E, 3), half of each pair's energy added to each atom's (N,).

    ``of_pairs`` (elements, elements, 5) are alpha, alpha radius, repulsion, attraction and contact; ``embedded``
    F' (N,).
    """
    vectors, i_of, j_of = edges
    for k in range(len(vectors)):
        q = U(k)
        i, j = U(i_of[q]), U(j_of[q])
        own = of_pairs[U(species[i]), U(species[j])]
        x, y, z = vectors[q, U(0)], vectors[q, U(1)], vectors[q, U(2)]
        r = math.sqrt(x * x + y * y + z * z)
        at, dr = felt(r, own[4])
        s, ds = switch(at, cutoff)
        phi, slope = pair(at, dr, s, ds, own)
        half = 0.5 * phi
        energies[i] += half
        energies[j] += half
        slope = (slope + embedded[i] * slopes[q, U(0)] + embedded[j] * slopes[q, U(1)]) / r
        gradient[q, U(0)] = slope * x
        gradient[q, U(1)] = slope * y
        gradient[q, U(2)] = slope * z


def columns(terms: Any) -> tuple[Any, Any]:
    """Return the parameters of pairs, shape (elements, elements, 5), and of elements, (elements, 3), in float64."""
    of_pairs = terms.alpha, terms.log_scale, terms.repulsion, terms.attraction, terms.contact
    of_elements = terms.beta, terms.log_density, terms.embedding
    pairs, elements = (np.stack([t.numpy() for t in part], axis=-1) for part in (of_pairs, of_elements))
    return pairs.reshape(terms.n_elements, terms.n_elements, len(of_pairs)), elements


def evaluate(terms: Any, edges: Any, species: Any) -> tuple[Any, Any]:
    """Return atomic energies (N,) and dE/d vectors (E, 3) for vectors (E, 3) with their ends i and j (E,).

    ``terms`` are :class:`~keel.potentials.classical.eam_terms.EAMTerms` in float64 on a CPU.
    """
    n = len(species)
    pairs, atoms = columns(terms)
    rho, energies, embedded = np.zeros(n), np.empty(n), np.empty(n)
    slopes, gradient = np.empty((len(edges[0]), 2)), np.empty_like(edges[0])
    densities(edges, species, pairs, atoms, terms.cutoff, rho, slopes)
    embeddings(rho, species, np.ascontiguousarray(atoms[:, 2]), terms.delta, energies, embedded)
    gradients(edges, species, pairs, terms.cutoff, embedded, slopes, energies, gradient)
    return energies, gradient

"""The loss of an EAM fit and its gradient with respect to the parameters, as machine code.

Forward:    rho_i += f_j(r) s;  E += phi(r);  slope = phi' + F'_i f'_j + F'_j f'_i;  forces and virial from slope
Backward:   the same in reverse (adjoints): dL/d slope from the errors, dL/dF' and dL/d rho per atom, dL/d parameter

with phi = (repulsion x^2 - attraction x) s, x = exp(alpha (radius - r)), f = density exp(beta (radius - r)). Pairs lie
in segments of two elements in one structure, so that parameters are constants of the inner loops.

Source: Griewank and Walther, Evaluating Derivatives (2008), chapter 3.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from keel.jit import inlined, kernel

LN_2, PER_LN_2 = math.log(2.0), 1.0 / math.log(2.0)


@inlined
def exponential(y: Any) -> Any:
    """exp(y) to a relative error of 2e-16 (1 + |y|), clamped at |y| = 700; vectorised, unlike ``math.exp``.

    2^n exp(t) with |t| <= ln(2)/2: a Taylor polynomial, and n set into the exponent's bits.
    """
    y = min(max(y, -700.0), 700.0)
    n = math.floor(y * PER_LN_2 + 0.5)
    t = y - n * LN_2
    p = 1.0 / 479001600.0
    p = p * t + 1.0 / 39916800.0
    p = p * t + 1.0 / 3628800.0
    p = p * t + 1.0 / 362880.0
    p = p * t + 1.0 / 40320.0
    p = p * t + 1.0 / 5040.0
    p = p * t + 1.0 / 720.0
    p = p * t + 1.0 / 120.0
    p = p * t + 1.0 / 24.0
    p = p * t + 1.0 / 6.0
    p = p * t + 0.5
    p = p * t + 1.0
    p = p * t + 1.0
    return p * np.int64((np.int64(n) + 1023) << 52).view(np.float64)


@kernel
def energies(pairs: Any, parameters: Any, work: Any, rho: Any, energy: Any) -> None:
    """Add electron densities to ``rho`` (N,) and pair energies to ``energy`` (B,).

    ``work`` (4, E) becomes x, and the densities without switch that each pair gives to its first and second atom.
    """
    of_pairs, of_elements = parameters
    r, s, i_of, j_of = pairs.r, pairs.switch[0], pairs.atoms[0], pairs.atoms[1]
    x, to_i, to_j = work[0], work[1], work[2]
    for segment in pairs.segments:
        structure, first, second, pair, start, stop = segment
        alpha, repulsion, attraction, radius = of_pairs[pair]
        density_j, beta_j, _, radius_j = of_elements[second]
        density_i, beta_i, _, radius_i = of_elements[first]
        total = 0.0
        for q in range(start, stop):
            x[q] = exponential(alpha * (radius - r[q]))
        # A loop that sums stores nothing: otherwise the order of the sum would depend on where arrays lie in memory,
        # because vectorised code is replaced by scalar code where arrays may overlap.
        for q in range(start, stop):
            total += (repulsion * x[q] - attraction) * x[q] * s[q]
        for q in range(start, stop):
            to_i[q] = density_j * exponential(beta_j * (radius_j - r[q]))
        if first == second:
            to_j[start:stop] = to_i[start:stop]
        else:
            for q in range(start, stop):
                to_j[q] = density_i * exponential(beta_i * (radius_i - r[q]))
        for q in range(start, stop):
            rho[i_of[q]] += to_i[q] * s[q]
            rho[j_of[q]] += to_j[q] * s[q]
        energy[structure] += total


@kernel
def embed(species: Any, structure: Any, of_elements: Any, delta: float, rho: Any, root: Any, energy: Any) -> None:
    """Add F(rho) to ``energy`` (B,); ``root`` (N,) becomes sqrt(rho + delta)."""
    at_rest = math.sqrt(delta)
    for i in range(len(rho)):
        root[i] = math.sqrt(rho[i] + delta)
        energy[structure[i]] += of_elements[species[i], 2] * (at_rest - root[i])


@kernel
def derivatives(pairs: Any, parameters: Any, work: Any, slopes: Any, forces: Any, virial: Any) -> None:
    """Add to ``forces`` (N, 3) and to ``virial`` (B, 3, 3) = sum r dE/dr u u^T; ``slopes`` (N,) are dF/d rho."""
    of_pairs, of_elements = parameters
    r, i_of, j_of = pairs.r, pairs.atoms[0], pairs.atoms[1]
    s, ds, ux, uy, uz = pairs.switch[0], pairs.switch[1], pairs.unit[0], pairs.unit[1], pairs.unit[2]
    x, to_i, to_j = work[0], work[1], work[2]
    for segment in pairs.segments:
        structure, first, second, pair, start, stop = segment
        alpha, repulsion, attraction, _ = of_pairs[pair]
        beta_i, beta_j = of_elements[first, 1], of_elements[second, 1]
        xx = xy = xz = yy = yz = zz = 0.0
        for q in range(start, stop):
            i, j = i_of[q], j_of[q]
            slope = x[q] * (repulsion * x[q] * (ds[q] - 2.0 * alpha * s[q]) - attraction * (ds[q] - alpha * s[q]))
            slope += slopes[i] * to_i[q] * (ds[q] - beta_j * s[q]) + slopes[j] * to_j[q] * (ds[q] - beta_i * s[q])
            fx, fy, fz = slope * ux[q], slope * uy[q], slope * uz[q]
            forces[i, 0] += fx
            forces[i, 1] += fy
            forces[i, 2] += fz
            forces[j, 0] -= fx
            forces[j, 1] -= fy
            forces[j, 2] -= fz
            vx, vy, vz = r[q] * ux[q], r[q] * uy[q], r[q] * uz[q]
            xx, xy, xz = xx + vx * fx, xy + vx * fy, xz + vx * fz
            yy, yz, zz = yy + vy * fy, yz + vy * fz, zz + vz * fz
        v = virial[structure]
        v[0, 0] += xx
        v[1, 1] += yy
        v[2, 2] += zz
        v[0, 1], v[0, 2], v[1, 2] = v[0, 1] + xy, v[0, 2] + xz, v[1, 2] + yz
        v[1, 0], v[2, 0], v[2, 1] = v[0, 1], v[0, 2], v[1, 2]


@kernel
def pull_pairs(pairs: Any, parameters: Any, work: Any, pulls: Any, slope_pull: Any, gradient: Any) -> None:
    """Carry the pulls on forces, virial and energy to the parameters of pairs, and to the slopes of embedding.

    ``pulls`` are dL/d forces (N, 3), dL/d virial (B, 3, 3) and dL/d energy (B,). The last row of ``work`` becomes
    dL/d slope; ``slope_pull`` (N,) is added to: dL/dF'; ``gradient`` (pairs, 3) too: alpha, repulsion, attraction.
    """
    of_pairs, of_elements = parameters
    on_forces, on_virial, on_energy = pulls
    r, i_of, j_of = pairs.r, pairs.atoms[0], pairs.atoms[1]
    s, ds, ux, uy, uz = pairs.switch[0], pairs.switch[1], pairs.unit[0], pairs.unit[1], pairs.unit[2]
    x, to_i, to_j, on_slope = work[0], work[1], work[2], work[3]
    for segment in pairs.segments:
        structure, first, second, pair, start, stop = segment
        alpha, repulsion, attraction, radius = of_pairs[pair]
        beta_i, beta_j = of_elements[first, 1], of_elements[second, 1]
        v, pull = on_virial[structure], on_energy[structure]
        xx, yy, zz = v[0, 0], v[1, 1], v[2, 2]
        xy, xz, yz = v[0, 1] + v[1, 0], v[0, 2] + v[2, 0], v[1, 2] + v[2, 1]
        of_alpha = of_repulsion = of_attraction = 0.0
        for q in range(start, stop):
            i, j, a, b, c = i_of[q], j_of[q], ux[q], uy[q], uz[q]
            w = a * (on_forces[i, 0] - on_forces[j, 0]) + b * (on_forces[i, 1] - on_forces[j, 1])
            w += c * (on_forces[i, 2] - on_forces[j, 2])
            w += r[q] * (a * (a * xx + b * xy + c * xz) + b * (b * yy + c * yz) + c * c * zz)
            on_slope[q] = w
            slope_pull[i] += w * to_i[q] * (ds[q] - beta_j * s[q])
            slope_pull[j] += w * to_j[q] * (ds[q] - beta_i * s[q])
            one, two = x[q], x[q] * x[q]
            on_one = one * (w * (ds[q] - alpha * s[q]) + pull * s[q])
            on_two = two * (w * (ds[q] - 2.0 * alpha * s[q]) + pull * s[q])
            of_repulsion += on_two
            of_attraction -= on_one
            of_alpha += (radius - r[q]) * (2.0 * repulsion * on_two - attraction * on_one)
            of_alpha -= w * s[q] * (2.0 * repulsion * two - attraction * one)
        gradient[pair, 0] += of_alpha
        gradient[pair, 1] += of_repulsion
        gradient[pair, 2] += of_attraction


@kernel
def pull_atoms(
    species: Any, structure: Any, of_elements: Any, delta: float, root: Any, pulls: Any, gradient: Any
) -> None:
    """Turn the pull on F' into that on rho, in place, and add that on the embedding to ``gradient`` (elements, 3).

    ``pulls`` are dL/dF' (N,), dL/d energy (B,) and dL/d rho of all atoms alike.
    """
    on_slope, on_energy, on_rho = pulls
    at_rest = math.sqrt(delta)
    for i in range(len(root)):
        embedding, inverse, pull = of_elements[species[i], 2], 1.0 / root[i], on_energy[structure[i]]
        gradient[species[i], 2] += pull * (at_rest - root[i]) - 0.5 * on_slope[i] * inverse
        on_slope[i] = on_rho + embedding * inverse * (0.25 * on_slope[i] * inverse * inverse - 0.5 * pull)


@kernel
def pull_densities(pairs: Any, of_elements: Any, work: Any, slopes: Any, on_rho: Any, gradient: Any) -> None:
    """Carry the pulls on rho (N,) and on the slopes of pairs to density and beta in ``gradient`` (elements, 3)."""
    r, s, ds, i_of, j_of = pairs.r, pairs.switch[0], pairs.switch[1], pairs.atoms[0], pairs.atoms[1]
    to_i, to_j, on_slope = work[1], work[2], work[3]
    for segment in pairs.segments:
        first, second, start, stop = segment[1], segment[2], segment[4], segment[5]
        density_i, beta_i, _, radius_i = of_elements[first]
        density_j, beta_j, _, radius_j = of_elements[second]
        density_of_i = density_of_j = beta_of_i = beta_of_j = 0.0
        for q in range(start, stop):
            i, j = i_of[q], j_of[q]
            of_j = on_slope[q] * slopes[i] * to_i[q]
            of_i = on_slope[q] * slopes[j] * to_j[q]
            all_j = of_j * (ds[q] - beta_j * s[q]) + on_rho[i] * to_i[q] * s[q]
            all_i = of_i * (ds[q] - beta_i * s[q]) + on_rho[j] * to_j[q] * s[q]
            density_of_j += all_j
            density_of_i += all_i
            beta_of_j += (radius_j - r[q]) * all_j - of_j * s[q]
            beta_of_i += (radius_i - r[q]) * all_i - of_i * s[q]
        gradient[first, 0] += density_of_i / density_i
        gradient[first, 1] += beta_of_i
        gradient[second, 0] += density_of_j / density_j
        gradient[second, 1] += beta_of_j

"""Normal equations of an EAM fit: gradient and Gauss-Newton matrix with respect to the parameter values."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keel.atoms.frame import VOIGT, Array
from keel.fitting.angular import TWICE
from keel.fitting.chunk import Evaluation


class Normal(NamedTuple):
    """J^T e (C,) and J^T J (C, C) of weighted errors e in forces and stress, their squared sum, and rows of the rest.

    ``energy`` (B, C) are derivatives of the energies in eV, ``density`` (C,) those of the sum of rho. Columns are
    alpha, repulsion and attraction of pairs, density, beta and embedding of elements, then those of a three-body term.
    """

    loss: float
    gradient: Array
    matrix: Array
    energy: Array
    density: Array


def normal_equations(found: Evaluation) -> Normal:
    """Differentiate one chunk with respect to all parameters at once."""
    energy, forces, virial, density = jacobian(found)
    chunk = found.chunk
    force_error, stress_error = chunk.errors(*found.derivatives())
    rows = [(forces * chunk.force_weight[:, 0, None]).reshape(-1, forces.shape[-1])]
    errors = [force_error.T.ravel()]
    if chunk.stress_weight.any():
        weights = chunk.stress_weight[:, 0] / chunk.volume[:, 0]
        # Both off-diagonal components of a pair have the same derivative: one row of sqrt(2) times their mean error.
        mean = 0.5 * (stress_error + stress_error.transpose(0, 2, 1))[:, VOIGT[0], VOIGT[1]]
        rows.append((virial * (weights * np.sqrt(TWICE))[:, :, None]).reshape(-1, virial.shape[-1]))
        errors.append((mean * np.sqrt(TWICE)).ravel())
    matrix = sum(row.T @ row for row in rows)
    gradient = sum(row.T @ error for row, error in zip(rows, errors, strict=True))
    loss = float(np.vdot(force_error, force_error) + np.vdot(stress_error, stress_error))
    return Normal(loss, np.asarray(gradient), np.asarray(matrix), energy, density)


def jacobian(found: Evaluation) -> tuple[Array, Array, Array, Array]:
    """Return derivatives of energies (B, C), forces (3, N, C), virials (B, 6, C) and the sum of rho (C,)."""
    from keel.fitting.jacobian import density_columns, embedding_columns, neighbour_columns, pair_columns

    chunk, (of_pairs, of_elements) = found.chunk, found.parameters
    atoms, first = len(chunk.species), 3 * len(of_pairs)
    width = first + 3 * len(of_elements)
    energy, forces = np.zeros((len(chunk.volume), width)), np.zeros((3, atoms, width))
    virial, own = np.zeros((len(chunk.volume), 6, width)), np.zeros((atoms, 9))
    columns, density = np.zeros((atoms, width - first)), np.zeros(width)
    density_columns(chunk.pairs, of_elements, found.work, columns)
    density[first:] = columns.sum(axis=0)
    at = (chunk.species, chunk.structure, found.root)
    embedding_columns(at, of_elements, found.delta, columns, energy[:, first:])
    pair_columns(chunk.pairs, found.parameters, found.work, found.slopes(), energy, forces, virial)
    neighbour_columns(chunk.pairs, of_elements, found.work, columns, forces[:, :, first:], own)
    forces[:, :, first:] += own[:, :3].T[:, :, None] * columns
    starts = np.flatnonzero(np.diff(chunk.structure, prepend=-1))
    virial[:, :, first:] += np.add.reduceat(own[:, 3:, None] * columns[:, None, :], starts)
    of_angles = _spread(found)
    energy, forces, virial = (np.concatenate(c, axis=-1) for c in zip((energy, forces, virial), of_angles, strict=True))
    return energy, forces, virial, np.append(density, np.zeros(len(found.angular)))


def _spread(found: Evaluation) -> list[Array]:
    """Return the columns of all coefficients of a three-body term, zero for elements that the chunk does not have."""
    which, *columns = found.chunk.angular
    wide = [np.zeros((*c.shape[:-1], len(found.angular))) for c in columns]
    if len(found.angular):
        for whole, part in zip(wide, columns, strict=True):
            whole[..., which] = part
    return wide

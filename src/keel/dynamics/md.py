"""Molecular dynamics as in ``keel md``: from structures and a potential to the outcome of each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keel.atoms.conversion import Structures
from keel.disagreement import potentials_beside
from keel.dynamics.settings import HERE, LENGTH_FS, RECORD_EVERY, ComputeSettings, MDSettings
from keel.dynamics.stability import StabilityResult, stability
from keel.potentials.external.opening import Given, open_potential


def md(
    potential: Given,
    starts: Structures,
    temperature: float | None = None,
    length_fs: float | None = None,
    *,
    runs: int | None = None,
    settings: MDSettings | Mapping[str, Any] | None = None,
    record_every: int | None = None,
    out: str | Path | None = None,
    compute: ComputeSettings = HERE,
    beside: Given | Sequence[Given] = (),
) -> StabilityResult:
    """Simulate until each run fails or ends; the result shows how long it lasted and what ended it.

    Parameters
    ----------
    potential
        A potential, or what has or names one (:func:`keel.open_potential`).
    starts
        Structures to start from: frames, ``ase.Atoms`` or files (:func:`keel.atoms.as_frames`).
    temperature, length_fs
        In K, and of each run in fs (1000 unless it or ``settings`` says otherwise).
    runs
        Number of runs; None: one from each structure.
    settings
        Everything else, such as ensemble, pressure, time step and seed, as settings or a dictionary of them; the other
        arguments take precedence.
    record_every
        Steps between two structures that are kept, in ``trajectories`` or in ``out``; None: 10 with ``out``, else none
        are kept.
    out
        File for the trajectories: ``.extxyz``, ``.h5`` or ``.traj``.
    compute
        See :func:`keel.dynamics.simulate`.
    beside
        Other potentials, given as the first is. Their forces are compared with its forces in all states that are kept;
        with ``stop_above`` in the settings a larger disagreement ends the run, see :func:`keel.dynamics.simulate`.

    Raises
    ------
    ConfigError, DataError
        If there is no temperature, or as :func:`keel.dynamics.stability`.

    Examples
    --------
    >>> from ase.build import bulk
    >>> import keel
    >>> keel.md(keel.LennardJones(), bulk("Ar", cubic=True).repeat(2), temperature=20, length_fs=10)
    StabilityResult(runs 1 at 20 K; length 10 fs; failed 0; median time to failure > 10 fs)
    """
    asked = {"temperature": temperature, "length_fs": length_fs, "record_every": record_every}
    given = {name: value for name, value in asked.items() if value is not None}
    if settings is None or isinstance(settings, Mapping):
        usual = {"length_fs": LENGTH_FS, "record_every": RECORD_EVERY if out is not None else 0}
        chosen = MDSettings.given({**usual, **(settings or {}), **given})
    else:
        chosen = MDSettings.given(settings).replace(**given)
    others = potentials_beside(beside)
    return stability(open_potential(potential), starts, chosen, n_runs=runs, compute=compute, out=out, beside=others)

"""The diffusion coefficient that kinisi finds, for comparison."""

from __future__ import annotations

import numpy as np
import scipp as sc
from ase import Atoms
from kinisi.analyze import DiffusionAnalyzer


def diffusion_of(positions: np.ndarray, interval_fs: float, start_fs: float) -> tuple[float, float]:
    """Return D and its standard deviation in angstrom^2/fs of lithium that walks from a heavy frame's centre.

    ``positions`` is (T, N, 3) in angstrom, unwrapped. kinisi takes the drift off that its own choice of atoms has: here
    it is zero.
    """
    cell = 1000.0 * np.eye(3)
    frames = [Atoms("Li" * positions.shape[1], positions=x + 500.0, cell=cell, pbc=True) for x in positions]
    lags = interval_fs * np.unique(np.linspace(1, len(positions) // 4, 40).round())
    analyzer = DiffusionAnalyzer.from_ase(
        frames,
        specie="Li",
        time_step=interval_fs * sc.Unit("fs"),
        step_skip=1 * sc.units.one,
        dt=sc.array(dims=["time interval"], values=lags, unit="fs"),
        progress=False,
    )
    state = np.random.RandomState(0)
    analyzer.diffusion(start_fs * sc.Unit("fs"), progress=False, random_state=state)
    values = sc.to_unit(analyzer.D, "angstrom^2/fs").values
    return float(np.mean(values)), float(np.std(values))

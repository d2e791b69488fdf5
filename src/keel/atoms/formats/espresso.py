"""The text that pw.x of Quantum ESPRESSO prints, with the energy that its forces belong to.

With a hybrid functional pw.x prints ``!    total energy`` after each round of the exchange operator and ``!!   total
energy`` once it has settled; ASE 3.29 takes the first of them. A step whose electrons do not converge has neither
energy nor forces, and stops ASE's reader. See https://www.quantum-espresso.org/documentation.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from keel.atoms.formats.ase_files import broken_frame, guarded, pending_images
from keel.atoms.formats.compression import opened_text
from keel.atoms.record import PendingFrame
from keel.errors import DataError

ENERGY, SETTLED, EXCHANGE = "!    total energy", "!!   total energy", "EXX-fraction"
RESULTS = (
    ENERGY,
    "Forces acting on atoms",
    "total   stress",
    "Magnetic moment per site",
    "End of self-consistent calculation",
    "End of band structure calculation",
)
"""Lines by which ASE recognises that a structure has results."""
NOT_CONVERGED = (
    "the SCF of this step did not converge, so pw.x printed no energy and forces for it; --skip-bad keeps the others"
)
UNSETTLED = (
    "the exact exchange of this step did not settle (there is no line '!!   total energy'), so it has no energy; "
    "--skip-bad keeps the others"
)


def pw_frames(path: Path) -> Iterator[PendingFrame]:
    """Yield the frames of an output of pw.x, of one run or several.

    Raises
    ------
    DataError
        If it holds none, or ASE finds it damaged.
    """
    from ase.io.espresso import read_espresso_out

    with opened_text(path) as stream:
        lines = stream.readlines()
    hybrid = any(EXCHANGE in line for line in lines)
    steps = [_settled(step, hybrid) for step in _steps(lines)]
    text = io.StringIO("".join(line for step, _ in steps for line in step))
    images = guarded(lambda: read_espresso_out(text, index=slice(None)), path)
    sound, index = pending_images(images, path), 0
    for step, failure in steps:
        if failure is not None:
            yield broken_frame(f"{path}, step {index}", failure)
        elif not _has_results(step):
            continue
        elif (found := next(sound, None)) is not None:
            yield found
        index += 1
    if not index:
        raise DataError(f"{path}: pw.x printed no energies or forces into it")


def _steps(lines: list[str]) -> Iterator[list[str]]:
    """Yield the lines from one structure to the next, as ASE finds structures."""
    starts = [k for k, line in enumerate(lines) if "Program PWSCF" in line or "ATOMIC_POSITIONS" in line]
    for start, end in pairwise([*starts, len(lines)]):
        yield lines[start:end]


def _settled(step: list[str], hybrid: bool) -> tuple[list[str], str | None]:
    """Return a step with no energy but the settled one; or without results, and why it has none."""
    if any("convergence NOT achieved" in line for line in step):
        return [line for line in step if not _has_results([line])], NOT_CONVERGED
    if not hybrid or not any(ENERGY in line for line in step):
        return step, None
    if not any(SETTLED in line for line in step):
        return [line for line in step if not _has_results([line])], UNSETTLED
    return [line.replace(SETTLED, ENERGY) for line in step if ENERGY not in line], None


def _has_results(step: list[str]) -> bool:
    return any(mark in line for line in step for mark in RESULTS)

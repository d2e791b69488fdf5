"""The text that pw.x of Quantum ESPRESSO prints, with the energy that its forces belong to.

With a hybrid functional pw.x prints ``!    total energy`` after each round of the exchange operator and ``!!   total
energy`` once it has settled; ASE 3.29 takes the first of them. A step whose electrons do not converge has neither
energy nor forces, and stops ASE's reader. See https://www.quantum-espresso.org/documentation.
"""

from __future__ import annotations

import io
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keel.atoms.formats.ase_files import broken_frame, guarded, pending_images
from keel.atoms.formats.compression import opened_text
from keel.atoms.formats.espresso_settings import of_head
from keel.atoms.record import PendingFrame, Record
from keel.errors import DataError

if TYPE_CHECKING:
    from ase import Atoms

ENERGY, SETTLED, EXCHANGE = "!    total energy", "!!   total energy", "EXX-fraction"
PROGRAM = "Program PWSCF"
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
_Step = tuple[list[str], str | None]
"""The lines of a step, and why it has no results."""
DAMAGED = "the file is cut off or damaged within this step; --skip-bad keeps the others"
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
    with opened_text(path) as stream:
        lines = stream.readlines()
    hybrid = any(EXCHANGE in line for line in lines)
    steps = [_settled(step, hybrid) for step in _steps(lines)]
    sound, index = pending_images(guarded(lambda: _readable(steps), path), path), 0
    for (step, failure), stated in zip(steps, _stated(lines), strict=True):
        if failure is not None:
            yield broken_frame(f"{path}, step {index}", failure)
        elif not _has_results(step):
            continue
        elif (found := next(sound, None)) is not None:
            yield PendingFrame(found.source, partial(_stating, found.record, stated))
        index += 1
    if not index:
        raise DataError(f"{path}: pw.x printed no energies or forces into it")


def _stated(lines: list[str]) -> Iterator[dict[str, Any]]:
    """Yield for each step what the run that it belongs to states of itself."""
    run: dict[str, Any] = {}
    for step in _steps(lines):
        if PROGRAM in step[0]:
            run = of_head("".join(step))
        yield dict(run)


def _stating(record: Callable[[], Record], stated: dict[str, Any]) -> Record:
    made = record()
    made.info |= stated
    return made


def _steps(lines: list[str]) -> Iterator[list[str]]:
    """Yield the lines from one structure to the next, as ASE finds structures."""
    starts = [k for k, line in enumerate(lines) if PROGRAM in line or "ATOMIC_POSITIONS" in line]
    for start, end in pairwise([*starts, len(lines)]):
        yield lines[start:end]


def _settled(step: list[str], hybrid: bool) -> _Step:
    """Return a step with no energy but the settled one; or without results, and why it has none."""
    if any("convergence NOT achieved" in line for line in step):
        return _without_results(step), NOT_CONVERGED
    if not hybrid or not any(ENERGY in line for line in step):
        return step, None
    if not any(SETTLED in line for line in step):
        return _without_results(step), UNSETTLED
    return [line.replace(SETTLED, ENERGY) for line in step if ENERGY not in line], None


def _readable(steps: list[_Step]) -> list[Atoms]:
    """Return what ASE reads; steps that stop it lose their results first, and get the reason."""
    while True:
        try:
            return _images(steps)
        except Exception:  # Whatever ASE raises for a number that is none, or for lines that are missing.
            bad = bisect_left(range(1, len(steps)), True, key=lambda count: _fails(steps[:count]))
            if not _has_results(steps[bad][0]):
                raise
            steps[bad] = _without_results(steps[bad][0]), DAMAGED


def _images(steps: Sequence[_Step]) -> list[Atoms]:
    from ase.io.espresso import read_espresso_out

    text = "".join(line for step, _ in steps for line in step)
    return list(read_espresso_out(io.StringIO(text), index=slice(None)))


def _fails(steps: Sequence[_Step]) -> bool:
    try:
        _images(steps)
    except Exception:
        return True
    return False


def _without_results(step: list[str]) -> list[str]:
    return [line for line in step if not _has_results([line])]


def _has_results(step: list[str]) -> bool:
    return any(mark in line for line in step for mark in RESULTS)

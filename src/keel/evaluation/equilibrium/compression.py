"""Do crystals resist uniform compression ever more, as all matter does?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import log

import numpy as np

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.units import GPA
from keel.evaluation.check import CheckResult, Curve, Metric, judged
from keel.evaluation.equilibrium.squeeze import Squeezed, compressible, squeeze
from keel.potentials.base import Potential
from keel.wording import number

NAME = "compression"
COMPARED_AT = 0.84
"""Fraction of the length (0.59 of the volume) at which the pressure is compared with that of another potential."""


def compression(potential: Potential, frames: Structures, *, beside: Potential | None = None) -> CheckResult:
    """Squeeze crystals to 0.4 of their volume and check whether the pressure rises at every step.

    It fails if the pressure of one of them falls (by more than 0.01 GPa) or stops being finite: under that load the
    crystal caves in. Nothing is relaxed, and the crystals are taken as they are, so that all potentials have the same
    task; see :func:`~keel.evaluation.squeeze`.

    Parameters
    ----------
    frames
        Crystals, not stretched far beyond their equilibrium; structures that are not periodic in three directions are
        left out. :func:`~keel.evaluation.various_crystals` finds some.
    beside
        A potential to draw beside.

    Raises
    ------
    DataError
        If a potential does not know an element.
    """
    frames = as_frames(frames, labels=False)
    crystals = compressible(frames)
    if not crystals:
        why = "there is nothing to squeeze: no structure is periodic in three directions"
        return CheckResult(NAME, (), (), "skipped", why)
    found = squeeze(potential, crystals)
    expected = squeeze(beside, crystals) if beside is not None else ()
    metrics = [*_metrics(found), *_against(found, expected)]
    curves = [*_curves(found, ""), *_curves(expected, ", reference")]
    result = judged(NAME, metrics, curves, _good(found), "")
    return result if result.outcome == "passed" else replace(result, verdict=_bad(found))


def _metrics(found: Sequence[Squeezed]) -> Iterator[Metric]:
    falls = [s.first_fall for s in found if s.first_fall is not None]
    first = max(falls, default=np.nan)
    yield Metric("crystals that cave in", len(falls), f"of {len(found)}", 0.0)
    yield Metric("first fall of the pressure", first, "of the length")
    yield Metric("volume there", first**3, "of the crystal's own")
    yield Metric("deepest fall of the pressure", max(s.deepest_fall for s in found) / GPA, "GPa")
    pressures = np.concatenate([s.pressure for s in found])
    yield Metric("highest pressure", max(pressures[np.isfinite(pressures)], default=np.nan) / GPA, "GPa")


def _against(found: Sequence[Squeezed], expected: Sequence[Squeezed]) -> Iterator[Metric]:
    """Yield the ratio of a pressure to the reference's, in the crystal where they differ most."""
    pairs = [tuple(s.pressure_at(COMPARED_AT) for s in both) for both in zip(found, expected, strict=False)]
    ratios = [own / other for own, other in pairs if own > 0 and other > 0]
    if ratios:
        worst = max(ratios, key=lambda ratio: abs(log(ratio)))
        yield Metric(f"pressure at {COMPARED_AT} of the length", worst, "times the reference's")


def _curves(found: Sequence[Squeezed], ending: str) -> Iterator[Curve]:
    for s in found:
        yield Curve(f"{s.name}{ending}", s.length, s.pressure / GPA, "length (1: uncompressed)", "pressure (GPa)")
    for s in found:
        energy = s.energy - s.energy[0]
        yield Curve(
            f"{s.name}{ending}", s.volume, energy, "volume (angstrom^3/atom)", "energy of compression (eV/atom)"
        )


def _good(found: Sequence[Squeezed]) -> str:
    what = found[0].name if len(found) == 1 else f"{len(found)} crystals"
    end, highest = found[0].length[-1], max(float(s.pressure[-1]) for s in found) / GPA
    return (
        f"squeezed to {end**3:.2g} of the volume ({end:.2f} of the length), {what} resist{'s' * (len(found) == 1)} "
        f"ever more: the pressure rises at every step, to {number(highest, 3)} GPa"
    )


def _bad(found: Sequence[Squeezed]) -> str:
    """Return what happens to the crystal that caves in first."""
    falls = {s.first_fall: s for s in found if s.first_fall is not None}
    length = max(falls)
    crystal, where = falls[length], f"at {length:.2f} of its length ({length**3:.2f} of its volume)"
    if not np.isfinite(crystal.pressure[crystal.length == length]).all():
        return f"under compression the pressure of {crystal.name} is not finite {where}"
    count = sum(s.first_fall is not None for s in found)
    others = f", the first of {count} crystals that do" if count > 1 else ""
    return f"under compression {crystal.name} caves in {where}{others}: the pressure falls{_how(crystal, length)}"


def _how(crystal: Squeezed, length: float) -> str:
    lowest = float(np.nanmin(crystal.pressure[crystal.length <= length])) / GPA
    if lowest < 0:
        return f" to {number(lowest, 3)} GPa, and atoms attract each other again"
    return f" by {number(crystal.deepest_fall / GPA, 3)} GPa, and atoms give way as they come closer"

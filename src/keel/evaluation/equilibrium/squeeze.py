"""Crystals under uniform compression: does the pressure rise all the way, or do they cave in?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from keel.atoms.conversion import Structures, as_frames
from keel.atoms.frame import Array, Frame
from keel.atoms.isolated import set_apart
from keel.atoms.splits import evenly
from keel.atoms.units import GPA
from keel.errors import DataError
from keel.potentials.base import Potential
from keel.potentials.batches import predictions
from keel.potentials.convert import converted
from keel.showing import Facts, Shown, line

SMALLEST_VOLUME = 0.4
"""As a fraction of the crystal's own volume: 0.737 of its length, where DFT pressures are some hundreds of GPa."""
STEPS = 27
"""Steps of a hundredth of the length each. A bond of 2 angstrom shrinks by 0.02 angstrom from one to the next, and the
holes that networks have in their walls are wider than 0.1 angstrom, so none is missed."""
ROUNDING = 0.01 * GPA
"""A pressure has fallen if it is lower by more than this: a hundred times the float32 rounding of a sum of 100 GPa."""
DIFFERENCE = 1e-3
"""Relative change of the length for finite differences: the pressure of a potential without stress, from energies."""
SMALL, MOST = 128, 3
"""Largest number of atoms of a crystal if smaller ones are available, and the number of crystals probed."""
AT_ONCE = 128
"""Atoms in a batch on a CPU: compressed atoms have so many neighbours that batches of 1,024 take twice as long."""


@dataclass(frozen=True, eq=False, repr=False)
class Squeezed(Shown):
    """A crystal under uniform compression in K steps, its fractional coordinates kept.

    Parameters
    ----------
    name, source
        Formula and volume; where the crystal comes from.
    length
        In units of the crystal's own, descending from 1, shape (K,).
    volume, energy
        In angstrom^3 and eV per atom, shape (K,).
    pressure
        In eV/angstrom^3, shape (K,); without the kinetic part.
    """

    name: str
    source: str
    length: Array
    volume: Array
    energy: Array
    pressure: Array

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        fall = self.first_fall
        return {
            "of": self.name,
            "from": self.source,
            "squeezed to": f"{self.length[-1]:.2f} of its length",
            "pressure there": f"{self.pressure[-1] / GPA:.0f} GPa",
            "pressure first falls": "nowhere" if fall is None else f"at {fall:.2f} of its length",
        }

    def picture(self) -> str:
        """See :class:`~keel.showing.Shown`: the pressure, linear up to 5 GPa and logarithmic beyond."""
        heights = np.arcsinh(self.pressure / (5.0 * GPA))
        return line(heights.tolist(), label="pressure while the crystal is squeezed, logarithmic beyond 5 GPa")

    @property
    def first_fall(self) -> float | None:
        """The first length at which the pressure is lower than it was, or not finite; None if it rises all the way."""
        sound = self._below_highest <= ROUNDING
        return None if sound.all() else float(self.length[np.argmin(sound)])

    @property
    def deepest_fall(self) -> float:
        """By how much the pressure falls below what it was at a larger volume, at most, in eV/angstrom^3."""
        return float(np.nanmax(self._below_highest, initial=0.0))

    def pressure_at(self, length: float) -> float:
        """Return the pressure at a length between those of the steps, in eV/angstrom^3."""
        return float(np.interp(length, self.length[::-1], self.pressure[::-1]))

    @property
    def _below_highest(self) -> Array:
        """By how much each pressure is below those before it; NaN where it is not finite."""
        pressure = np.where(np.isfinite(self.pressure), self.pressure, np.nan)
        return np.asarray(np.fmax.accumulate(pressure) - pressure, dtype=np.float64)


def squeeze(
    potential: Potential, crystals: Structures, *, smallest_volume: float = SMALLEST_VOLUME, steps: int = STEPS
) -> tuple[Squeezed, ...]:
    """Compress crystals uniformly, at fixed fractional coordinates, and return energy and pressure of each.

        r -> s r,   s = 1 ... smallest_volume^(1/3) in equal steps,   P = -(1/3) tr stress = -dE/dV

    All structures are evaluated together in float64, in batches. Where a potential gives no stress, P is the central
    difference of E(V).

    Under load a crystal caves in where P falls, which no real matter does. One that starts beyond its spinodal (1.29
    times the equilibrium volume for Lennard-Jones pairs) is the exception: there P falls at first with any sound
    potential.

    Parameters
    ----------
    crystals
        Structures that are periodic in three directions, as they are in the data or relaxed.
    smallest_volume
        At the end, in units of the crystal's own.
    steps
        Number of steps.

    Raises
    ------
    DataError
        If a structure is not periodic in three directions, or the potential does not know an element.
    """
    crystals = as_frames(crystals, labels=False)
    for frame in crystals:
        if not frame.pbc.all():
            raise DataError(f"{frame.source}: not periodic in three directions, so it has no pressure; leave it out")
    if not crystals:
        return ()
    model = converted(potential, torch.float64)
    lengths = np.linspace(1.0, smallest_volume ** (1 / 3), steps + 1)
    energies, pressures = _evaluated(model, scaled(crystals, lengths))
    if np.isnan(pressures).all() and np.isfinite(energies).any():
        pressures = _slopes(model, crystals, lengths)
    shape = len(crystals), len(lengths)
    rows = zip(crystals, energies.reshape(shape), pressures.reshape(shape), strict=True)
    return tuple(_squeezed(frame, lengths, energy, pressure) for frame, energy, pressure in rows)


def compressible(frames: Sequence[Frame]) -> list[Frame]:
    """Return the frames that are periodic in three directions and not isolated atoms."""
    return [frame for frame in set_apart(frames)[0] if frame.pbc.all()]


def various_crystals(frames: Structures, most: int = MOST) -> list[Frame]:
    """Return some crystals of different composition and density from frames; empty if none can be compressed.

    Among those that agree in both (to 0.1 angstrom^3/atom), such as the frames of one simulation, the smallest is
    taken, and among equal sizes the one of lowest energy.

    Parameters
    ----------
    frames
        Frames, ``ase.Atoms`` or files (:func:`keel.atoms.as_frames`).
    most
        Largest number of crystals.
    """
    frames = as_frames(frames, labels=False)
    crystals = compressible(frames)
    small = [frame for frame in crystals if len(frame) <= SMALL]
    kinds: dict[tuple[str, float], Frame] = {}
    for frame in sorted(small or crystals, key=_size):
        kinds.setdefault((_composition(frame), round(frame.volume / len(frame), 1)), frame)
    return evenly([kinds[kind] for kind in sorted(kinds)], most)


def _size(frame: Frame) -> tuple[int, float]:
    return len(frame), 0.0 if frame.energy is None else frame.energy


def _composition(frame: Frame) -> str:
    numbers, counts = np.unique(frame.numbers, return_counts=True)
    return str((numbers.tolist(), (counts // np.gcd.reduce(counts)).tolist()))


def scaled(crystals: Sequence[Frame], lengths: Array) -> list[Frame]:
    """Return each crystal at each length, in units of its own, with its fractional coordinates kept."""
    return [frame.scaled(length) for frame in crystals for length in lengths]


def _evaluated(model: Potential, frames: Sequence[Frame]) -> tuple[Array, Array]:
    """Return energies in eV and pressures in eV/angstrom^3, both (K,)."""
    energies, pressures = [], []
    for _, prediction in predictions(frames, model, AT_ONCE if model.device.type == "cpu" else None):
        assert prediction.stress is not None
        energies.append(prediction.energy.cpu().numpy())
        pressures.append(-prediction.stress.diagonal(dim1=1, dim2=2).mean(dim=1).double().cpu().numpy())
    return np.concatenate(energies), np.concatenate(pressures)


def _slopes(model: Potential, crystals: Sequence[Frame], lengths: Array) -> Array:
    """Return pressures from the energies of slightly larger and smaller crystals, (K,)."""
    ends = [scaled(crystals, lengths * (1.0 + change)) for change in (-DIFFERENCE, DIFFERENCE)]
    smaller, larger = (_evaluated(model, frames)[0] for frames in ends)
    volumes = [np.array([frame.volume for frame in frames]) for frames in ends]
    return np.asarray((smaller - larger) / (volumes[1] - volumes[0]), dtype=np.float64)


def _squeezed(frame: Frame, lengths: Array, energy: Array, pressure: Array) -> Squeezed:
    volume = frame.volume / len(frame)
    return Squeezed(name_of(frame), frame.source, lengths, volume * lengths**3, energy / len(frame), pressure)


def name_of(crystal: Frame) -> str:
    """Return the name of a crystal in verdicts and curves: its formula and volume."""
    return f"{crystal.formula} at {crystal.volume / len(crystal):.1f} angstrom^3/atom"

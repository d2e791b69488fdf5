"""Which units and signs explain that labels disagree by a factor, and by which option they are read so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from keel.atoms.units import STRESSES, energy_factor, force_factor, length_factor

ENERGIES = ("hartree", "rydberg", "kcal/mol", "kJ/mol")
FORCES = (
    "-eV/angstrom",
    "eV/bohr",
    "hartree/bohr",
    "rydberg/bohr",
    "hartree/angstrom",
    "kcal/mol/angstrom",
    "kJ/mol/angstrom",
    "kJ/mol/nm",
)
TOGETHER = (
    ("hartree", "hartree/bohr"),
    ("rydberg", "rydberg/bohr"),
    ("kJ/mol", "kJ/mol/nm"),
    ("hartree", "-hartree/bohr"),
)
"""Units of energy and force that a code writes side by side; with lengths in angstrom they disagree."""
NEAR, SAME = 1.5, 1.12
"""A factor identifies a reading if it is off by at most 1.5; all readings within a factor of 1.12 of the best are
named."""

STRESS_NAMES: Mapping[str, str] = {
    "gpa": "in GPa",
    "kbar": "in kbar",
    "vasp-kbar": "in kbar with VASP's sign",
    "bar": "in bar with LAMMPS' sign",
}


def likely_forces(factor: float, atoms: float) -> str:
    """Say in which units forces may be whose work must be multiplied by ``factor`` to give the energy changes.

    Parameters
    ----------
    factor
        Slope of energy changes regressed on the work.
    atoms
        Number of atoms of the structures: energies may be divided by it.
    """
    return _likely(factor, dict(_forces(atoms))) or (
        "a unit or a sign is wrong: energies must be in eV and forces in eV/angstrom; give their units (--energy-unit, "
        "--forces-unit)"
    )


def likely_stress(factor: float, volume: float) -> str:
    """Say what a stress may be that must be multiplied by ``factor``; ``volume`` in angstrom^3."""
    return _likely(factor, dict(_stresses(volume))) or (
        "its unit or sign is wrong: it must be in eV/angstrom^3, compressed = negative; give its convention "
        "(--stress-convention)"
    )


def _forces(atoms: float) -> Iterator[tuple[str, float]]:
    for unit in FORCES:
        what = "have the opposite sign" if unit.startswith("-") else f"are in {unit}"
        option = f"--forces-unit={unit}" if unit.startswith("-") else f"--forces-unit {unit}"
        yield f"they {what} ({option})", force_factor(unit)
    for unit in ENERGIES:
        yield f"the energies are in {unit} (--energy-unit {unit})", 1.0 / energy_factor(unit)
    yield "the energies are divided by the number of atoms (--energy-unit eV/atom)", 1.0 / atoms
    yield "lengths are in bohr (--length-unit bohr)", length_factor("bohr")
    for energy, force in TOGETHER:
        both = f"energies are in {energy} and forces in {force} (--energy-unit {energy} --forces-unit={force})"
        yield both, force_factor(force) / energy_factor(energy)


def _stresses(volume: float) -> Iterator[tuple[str, float]]:
    for name, (factor, _) in STRESSES.items():
        if name == "ase":
            yield "its sign is the opposite, compressed must be negative (--stress-convention=-ase)", -factor
            continue
        named = STRESS_NAMES.get(name, f"in {name}")
        turned = f"{named}, with the opposite sign"
        yield f"it is {named} (--stress-convention {name})", factor
        if name != "kbar":
            yield f"it is {turned} (--stress-convention=-{name})", -factor
    yield "it is a virial in eV (--stress-convention virial)", -1.0 / volume
    yield "it is a virial in eV with the opposite sign (--stress-convention=-virial)", 1.0 / volume


def _likely(factor: float, readings: Mapping[str, float]) -> str | None:
    off = {what: abs(math.log(factor / value)) for what, value in readings.items() if factor * value > 0}
    if not off or (least := min(off.values())) > math.log(NEAR):
        return None
    near = [what for what in off if off[what] <= max(least, math.log(SAME))]
    return "; or ".join(sorted(near, key=lambda what: (what.count("--"), off[what]))[:3])

"""Which units and signs explain that labels disagree by a factor, and by which option they are read so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from keel.atoms.units import STRESSES, energy_factor, force_factor, is_per_atom, length_factor

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
NEAR, SAME, ROUGHLY = 1.5, 1.12, 1.25
"""A factor identifies a reading if it is off by at most 1.5; all readings within a factor of 1.12 of the best are
named, of a stress within 1.25: a virial of some cells is as large as one in GPa."""

CONVENTIONS = tuple(c for name in (*STRESSES, "virial") for c in (name, f"-{name}") if c != "-kbar")
"""Of a stress, with either sign; kbar of the other sign is VASP's."""
USUAL: Mapping[str, str] = MappingProxyType({})
"""Units that nobody named: eV, eV/angstrom, eV/angstrom^3."""

STRESS_NAMES: Mapping[str, str] = {
    "gpa": "in GPa",
    "kbar": "in kbar",
    "vasp-kbar": "in kbar with VASP's sign",
    "bar": "in bar with LAMMPS' sign",
    "ase": "in eV/angstrom^3",
    "virial": "a virial in eV",
}


def likely_forces(factor: float, atoms: float, read_in: Mapping[str, str] = USUAL) -> str:
    """Say in which units forces may be whose work must be multiplied by ``factor`` to give the energy changes.

    Parameters
    ----------
    factor
        Slope of energy changes regressed on the work.
    atoms
        Number of atoms of the structures: energies may be divided by it.
    read_in
        Units in which energies and forces were read, see :class:`keel.Frame`; those named here replace them.
    """
    return _likely(factor, dict(_forces(atoms, read_in))) or (
        "a unit or a sign is wrong: energies must be in eV and forces in eV/angstrom; give their units (--energy-unit, "
        "--forces-unit)"
    )


def likely_stress(factor: float, volume: float, read_in: Mapping[str, str] = USUAL) -> str:
    """Say what a stress may be that must be multiplied by ``factor``; ``volume`` in angstrom^3."""
    given = read_in.get("stress", "ase")
    meant = "it must be in eV/angstrom^3, compressed = negative" if given == "ase" else f"it was read as {given}"
    return _likely(factor, dict(_stresses(volume, given)), ROUGHLY) or (
        f"its unit or sign is wrong: {meant}; give its convention (--stress-convention)"
    )


def opposite(convention: str) -> str:
    """Return the convention of the other sign."""
    return convention[1:] if convention.startswith("-") else f"-{convention}"


def option(convention: str) -> str:
    """Return the option that names a convention."""
    return f"--stress-convention{'=' if convention.startswith('-') else ' '}{convention}"


def stress_factor(convention: str, volume: float) -> float:
    """Return the factor from a convention to eV/angstrom^3 with ASE's sign; ``volume`` in angstrom^3."""
    sign, name = (-1.0, convention[1:]) if convention.startswith("-") else (1.0, convention)
    return sign * (STRESSES[name][0] if name in STRESSES else -1.0 / volume)


def _forces(atoms: float, read_in: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    force, energy = (read_in.get("forces", "eV/angstrom"), read_in.get("energy", "eV"))
    forces, energies = force_factor(force), energy_factor(energy)
    for unit in (*FORCES, "eV/angstrom"):
        if force_factor(unit) == forces:
            continue
        turned = force_factor(unit) == -forces
        what = "have the opposite sign" if turned else f"are in {unit}"
        name = f"--forces-unit={unit}" if unit.startswith("-") else f"--forces-unit {unit}"
        yield f"they {what} ({name})", force_factor(unit) / forces
    for unit in (*ENERGIES, "eV"):
        if energy_factor(unit) != energies:
            yield f"the energies are in {unit} (--energy-unit {unit})", energies / energy_factor(unit)
    if not is_per_atom(energy):
        yield f"the energies are divided by the number of atoms (--energy-unit {energy}/atom)", 1.0 / atoms
    yield "lengths are in bohr (--length-unit bohr)", length_factor("bohr")
    for unit, of_forces in TOGETHER:
        both = f"energies are in {unit} and forces in {of_forces} (--energy-unit {unit} --forces-unit={of_forces})"
        yield both, force_factor(of_forces) / forces / (energy_factor(unit) / energies)


def _stresses(volume: float, given: str) -> Iterator[tuple[str, float]]:
    for convention, factor in conventions(given, volume).items():
        name = convention.removeprefix("-")
        named = STRESS_NAMES.get(name, f"in {name}")
        if convention == opposite(given):
            what = "its sign is the opposite" + (", compressed must be negative" if given == "ase" else "")
        else:
            what = f"it is {named}{', with the opposite sign' if convention != name else ''}"
        yield f"{what} ({option(convention)})", factor


def conventions(given: str, volume: float) -> dict[str, float]:
    """Return the factor by which a stress would be multiplied if it were read in each other convention."""
    applied = stress_factor(given, volume)
    return {c: stress_factor(c, volume) / applied for c in CONVENTIONS if c != given}


def _likely(factor: float, readings: Mapping[str, float], same: float = SAME) -> str | None:
    off = {what: abs(math.log(factor / value)) for what, value in readings.items() if factor * value > 0}
    if not off or (least := min(off.values())) > math.log(NEAR):
        return None
    near = [what for what in off if off[what] <= max(least, math.log(same))]
    return "; or ".join(sorted(near, key=lambda what: (what.count("--"), off[what]))[:3])


def unit_of_forces(factor: float) -> str | None:
    """Say in which unit single frames may have forces that must be multiplied by ``factor``."""
    return _likely(factor, {f"they may be in {unit}": force_factor(unit) for unit in FORCES if unit[0] != "-"})


def unit_of_stress(factor: float, volume: float) -> str | None:
    """Say in which convention single frames may have a stress that must be multiplied by ``factor``."""
    return _likely(factor, {f"it may be {what}": stress_factor(name, volume) for name, what in STRESS_NAMES.items()})

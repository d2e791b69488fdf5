"""Which surface of potential energy VASP computed, from the settings that it prints: see https://www.vasp.at/wiki."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keel.atoms.labelling.stated import CALCULATION

_GGA = {"PE": "PBE", "PS": "PBEsol", "RP": "RPBE", "91": "PW91", "CA": "LDA"}
"""Values of GGA, as the functionals are called."""
_POTCAR = {"PAW_PBE": "PBE", "PAW_GGA": "PW91", "PAW": "LDA", "US": "LDA", "US_GGA": "PW91"}
"""First word of the name of a potential, and its functional, which is used where no other is named."""
_SETTING = re.compile(
    r"\b(ENCUT|ISPIN|ISMEAR|SIGMA|NELECT|NUPDOWN|GGA|METAGGA|LHFCALC|AEXX|HFSCREEN|IVDW|LUSE_VDW|LDAU|LSORBIT)"
    r"\s*=\s*([^\s;]+)"
)
_HUBBARD = re.compile(r"for each species (LDAU[UJ])\s*=(.+)")
_NUMBERS = ("ENMAX", "ENCUT", "ISPIN", "ISMEAR", "SIGMA", "NELECT", "NUPDOWN")
_VALENCES = re.compile(r"\s*ZVAL\s*=((?:\s*\d+\.\d+)+)\s*$")
_UNSET = ("", "--", "F", "NONE")
_FREE = -1.0
"""NUPDOWN of a calculation that finds its number of unpaired electrons itself."""


def stated(settings: Mapping[str, str], potentials: Sequence[str] = (), valence: float | None = None) -> dict[str, Any]:
    """Return functional, potentials, cutoff, spin, smearing and charge, as far as they are known.

    What only says how fast or how tightly something is computed (NELM, NPAR, EDIFF) is no part of it.

    Parameters
    ----------
    settings
        Values by their names, as VASP used them.
    potentials
        Names of the potentials of the species: ``PAW_PBE Cu_pv 06Sep2000``.
    valence
        Number of electrons of all atoms if they were neutral.
    """
    numbers = {name: _number(settings.get(name)) for name in _NUMBERS}
    cutoff = numbers["ENCUT"] if numbers["ENMAX"] is None else numbers["ENMAX"]
    smearing = [f"{name} {numbers[name]:g}" for name in ("ISMEAR", "SIGMA") if numbers[name] is not None]
    electrons = numbers["NELECT"]
    found = {
        "functional": _functional(settings, potentials[0] if potentials else ""),
        "pseudopotentials": _of_elements(potentials, potentials),
        "hubbard_u": _hubbard(settings, potentials),
        "encut": cutoff,
        "ispin": None if numbers["ISPIN"] is None else int(numbers["ISPIN"]),
        "nupdown": None if numbers["NUPDOWN"] == _FREE else numbers["NUPDOWN"],
        "lsorbit": _true(settings, "LSORBIT") if "LSORBIT" in settings else None,
        "smearing": ", ".join(smearing),
        "charge": None if valence is None or electrons is None else round(valence - electrons, 3) + 0.0,
    }
    return {CALCULATION + name: value for name, value in found.items() if value not in (None, "", {})}


def of_outcar(lines: Iterable[str], ions: Sequence[int]) -> dict[str, Any]:
    """Return what the head of an OUTCAR states of these; ``ions``: how many there are of each type."""
    settings, potentials, valences = dict[str, str](), list[str](), list[float]()
    for line in lines:
        for name, value in _SETTING.findall(line):
            # The first one is the one that was set: below, VASP explains.
            settings.setdefault(name, value)
        for name, value in _HUBBARD.findall(line):
            settings |= {name: value, "LDAU": "T"}
        if found := _VALENCES.match(line):
            valences = [float(valence) for valence in found[1].split()]
        if "POTCAR:" in line:
            potentials.append(" ".join(line.partition("POTCAR:")[2].split()))
    neutral = sum(n * v for n, v in zip(ions, valences, strict=True)) if len(ions) == len(valences) else None
    # VASP prints the list of all potentials, and each of them once more before its data.
    return stated(settings, potentials[: len(ions)], neutral)


def _of_elements(potentials: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    """Return values of the species by their elements; of two species of one element (Fe, Fe_pv) both."""
    found = dict[str, Any]()
    for potential, value in zip(potentials, values, strict=False):
        element = re.match("[A-Z][a-z]?", potential.partition(" ")[2])
        if element is not None:
            before = found.get(element[0], value)
            found[element[0]] = value if before == value else f"{before}, {value}"
    return found


def _hubbard(settings: Mapping[str, str], potentials: Sequence[str]) -> dict[str, Any]:
    """Return U - J in eV of each element, which is what Dudarev's functional depends on."""
    u, j = ([_number(word) for word in settings.get(name, "").split()] for name in ("LDAUU", "LDAUJ"))
    if not _true(settings, "LDAU") or None in u or None in j or len(u) != len(potentials):
        return {}
    j = j if len(j) == len(u) else [0.0] * len(u)
    return _of_elements(potentials, [a - b for a, b in zip(u, j, strict=True)])  # type: ignore[operator]


def _functional(settings: Mapping[str, str], potential: str) -> str:
    gga, meta = (settings.get(name, "--").upper() for name in ("GGA", "METAGGA"))
    own = _POTCAR.get(potential.partition(" ")[0], "") if gga in _UNSET else _GGA.get(gga, gga)
    words = [own if meta in _UNSET else meta]
    if _true(settings, "LHFCALC"):
        words += [f"{name}={settings[name]}" for name in ("AEXX", "HFSCREEN") if name in settings]
    if _number(settings.get("IVDW")):
        words.append(f"IVDW={settings['IVDW']}")
    return " ".join([*words, *["vdW-DF"] * _true(settings, "LUSE_VDW"), *["+U"] * _true(settings, "LDAU")]).strip()


def _true(settings: Mapping[str, str], name: str) -> bool:
    return settings.get(name, "F").strip(".").upper().startswith("T")


def _number(text: str | None) -> float | None:
    """Return a number, None where there is none, as where Fortran prints stars."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None

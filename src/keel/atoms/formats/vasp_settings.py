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
    r"\b(ENCUT|ISPIN|ISMEAR|SIGMA|NELECT|GGA|METAGGA|LHFCALC|AEXX|HFSCREEN|IVDW|LUSE_VDW|LDAU)\s*=\s*([^\s;]+)"
)
_VALENCES = re.compile(r"\s*ZVAL\s*=((?:\s*\d+\.\d+)+)\s*$")
_UNSET = ("", "--", "F", "NONE")


def stated(settings: Mapping[str, str], potential: str = "", valence: float | None = None) -> dict[str, Any]:
    """Return functional, cutoff, spin, smearing and charge, as far as they are known.

    What only says how fast or how tightly something is computed (NELM, NPAR, EDIFF) is no part of it.

    Parameters
    ----------
    settings
        Values by their names, as VASP used them.
    potential
        Name of a potential: ``PAW_PBE Cu 22Jun2005``.
    valence
        Number of electrons of all atoms if they were neutral.
    """
    numbers = {name: _number(settings.get(name)) for name in ("ENMAX", "ENCUT", "ISPIN", "ISMEAR", "SIGMA", "NELECT")}
    cutoff = numbers["ENCUT"] if numbers["ENMAX"] is None else numbers["ENMAX"]
    smearing = [f"{name} {numbers[name]:g}" for name in ("ISMEAR", "SIGMA") if numbers[name] is not None]
    electrons = numbers["NELECT"]
    found = {
        "functional": _functional(settings, potential),
        "encut": cutoff,
        "ispin": None if numbers["ISPIN"] is None else int(numbers["ISPIN"]),
        "smearing": ", ".join(smearing),
        "charge": None if valence is None or electrons is None else round(valence - electrons, 3) + 0.0,
    }
    return {CALCULATION + name: value for name, value in found.items() if value not in (None, "")}


def of_outcar(lines: Iterable[str], ions: Sequence[int]) -> dict[str, Any]:
    """Return what the head of an OUTCAR states of these; ``ions``: how many there are of each type."""
    settings, potential, valences = dict[str, str](), "", list[float]()
    for line in lines:
        for name, value in _SETTING.findall(line):
            # The first one is the one that was set: below, VASP explains.
            settings.setdefault(name, value)
        if found := _VALENCES.match(line):
            valences = [float(valence) for valence in found[1].split()]
        if not potential and "POTCAR:" in line:
            potential = line.partition("POTCAR:")[2].strip()
    neutral = sum(n * v for n, v in zip(ions, valences, strict=True)) if len(ions) == len(valences) else None
    return stated(settings, potential, neutral)


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

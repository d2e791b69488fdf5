"""Which surface of potential energy pw.x computed, from what it prints before its first step.

See PW/src/summary.f90 of Quantum ESPRESSO (github.com/QEF/q-e).
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from keel.atoms.labelling.stated import CALCULATION

_FUNCTIONAL = re.compile(r"(?m)^\s*Exchange-correlation\s*=\s*([^(\n]+)")
"""A functional may be followed by its numbers."""
_CUTOFF = re.compile(r"(?m)^\s*kinetic-energy cutoff\s*=\s*(.+)")
_ELECTRONS = re.compile(r"(?m)^\s*number of electrons\s*=\s*([\d.]+)(?:\s*\(up:\s*([\d.]+),\s*down:\s*([\d.]+)\))?")
_SMEARING = re.compile(r"(?m)^\s*number of k points=\s*\d+[ \t]*(.*)")
_VALENCES = re.compile(r"atomic species +valence +mass +pseudopotential *\n((?: +\S+ +[\d.]+ +[\d.]+ +.*\n)+)")
_SITE = re.compile(r"(?m)^\s*\d+\s+(\S+)\s+tau\(\s*\d+\)")
_POTENTIAL = re.compile(r"PseudoPot\. #\s*\d+ for\s+(\S+) +read from file:\s*(\S+)")
_HUBBARD = (
    re.compile(r"LDA\+U calculation.*\n *atomic species +L +U.*\n((?: +[A-Z]\S* +\d.*\n)+)"),
    re.compile(r"(?m)^ *U\((\S+)\) *= *([\d.]+)"),
)
"""Until version 7.0 a table; since then a line for each."""
_SPIN = (
    ("calculation with spin-orbit", "with spin-orbit coupling"),
    ("Noncollinear calculation", "not collinear"),
    ("Starting magnetic structure", "polarised"),
)


def of_head(text: str) -> dict[str, Any]:
    """Return what pw.x states of functional, potentials, cutoff, spin, smearing and charge before its first step."""
    electrons, smearing = _ELECTRONS.search(text), _SMEARING.search(text)
    species = [row.split()[:2] for row in _lines(_VALENCES, text)]
    sites = Counter(_SITE.findall(text))
    hubbard, functional = _hubbard(text), _words(_FUNCTIONAL, text)
    found: dict[str, Any] = {
        "functional": f"{functional} +U" if functional and hubbard else functional,
        "ecutwfc": _words(_CUTOFF, text),
        "spin": next((said for words, said in _SPIN if words in text), "not polarised") if electrons else None,
        "smearing": None if smearing is None else " ".join(smearing[1].split()) or "none",
        "pseudopotentials": {_element(label): file.rpartition("/")[2] for label, file in _POTENTIAL.findall(text)},
        "hubbard_u": hubbard,
    }
    if electrons and electrons[2]:
        found["nupdown"] = float(electrons[2]) - float(electrons[3])
    if electrons and sites and sites.keys() == {label for label, _ in species}:
        neutral = sum(float(valence) * sites[label] for label, valence in species)
        found["charge"] = round(neutral - float(electrons[1]), 3) + 0.0
    elif electrons:
        found["nelect"] = float(electrons[1])
    return {CALCULATION + name: value for name, value in found.items() if value not in (None, {})}


def _words(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return None if found is None else " ".join(found[1].split())


def _lines(pattern: re.Pattern[str], text: str) -> list[str]:
    found = pattern.search(text)
    return [] if found is None else found[1].splitlines()


def _element(label: str) -> str:
    """Return the element of a species: of ``Fe1`` and ``Fe-3d`` it is Fe."""
    found = re.match("[A-Z][a-z]?", label)
    return label if found is None else found[0]


def _hubbard(text: str) -> dict[str, str]:
    """Return U in eV of each element, of several species of one element all."""
    table, lines = _HUBBARD
    rows = [(row.split()[0], row.split()[2]) for row in _lines(table, text)] + lines.findall(text)
    values: dict[str, list[str]] = {}
    for label, value in rows:
        values.setdefault(_element(label), []).append(f"{float(value):g}")
    return {element: ", ".join(sorted(set(numbers))) for element, numbers in values.items()}

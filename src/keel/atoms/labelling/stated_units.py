"""Units that a file states: in keys of their own, in a list or dictionary of units, or in the name of a label.

Each belongs to one quantity. What differs from the unit in which that quantity would be read is refused until the user
names it, so that neither a statement nor its being outdated goes unnoticed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from keel.atoms import units
from keel.atoms.labelling.names import ENERGY, FORCES, FREE_ENERGY, STRESS, VIRIAL, letters_of
from keel.atoms.record import USUAL, LabelKeys
from keel.errors import DataError, in_python

OPTIONS = {"energy": "energy_unit", "forces": "forces_unit", "length": "length_unit"}
OPTIONS |= dict.fromkeys(("stress", "virial"), "stress_convention")
"""What names the unit of each quantity: an argument of :class:`LabelKeys`."""
USUAL_UNITS = {"energy": "eV", "forces": "eV/angstrom", "length": "angstrom", "stress": "ase", "virial": "virial"}
SYSTEMS: Mapping[str, Mapping[str, str]] = {
    "metal": {},
    "real": {"energy": "kcal/mol", "forces": "kcal/mol/angstrom", "stress": "atm", "virial": "kcal/mol"},
    **{name: dict.fromkeys(OPTIONS, "a.u.") for name in ("electron", "atomic", "au", "atomicunits")},
    **{name: dict.fromkeys(OPTIONS, name) for name in ("si", "cgs", "lj", "micro", "nano")},
}
"""Systems of units by their names, most of them LAMMPS' (docs.lammps.org/units.html): what is not as in keel."""

_WORDS = {
    "energy": ("energies", "e", *ENERGY, *FREE_ENERGY),
    "forces": ("f", "gradient", "gradients", *FORCES),
    "stress": ("stresses", "pressure", *STRESS),
    "virial": tuple(VIRIAL),
    "length": ("length", "lengths", "position", "positions", "pos", "distance", "distances", "r", "cell", "lattice"),
}
_QUANTITIES = {letters_of(word): quantity for quantity, words in _WORDS.items() for word in words}
_QUANTITIES |= dict.fromkeys(("coord", "coords", "coordinate", "coordinates"), "length")
_BEFORE, _BEHIND = ("|".join(w for w in _QUANTITIES if len(w) > least) for least in (0, 3))
_KEY = re.compile(
    rf"(?!unitcell|unitlattice)(?:property|properties)?({_BEFORE})?units?(?:of)?({_BEHIND})?"
    "(?:style|system|dict)?"
)


@dataclass(frozen=True)
class Statement:
    """The unit of a quantity as keel names it, None if it is not understood, and what says so.

    ``signed``: the sign of the unit is stated too.
    """

    unit: str | None
    said: str
    signed: bool = False


@lru_cache(1024)
def states_units(key: str) -> bool:
    """Return whether a key of this name states units."""
    return _KEY.fullmatch(letters_of(key)) is not None


def opposite(unit: str) -> str:
    """Return a unit with the other sign."""
    return unit.removeprefix("-") if unit.startswith("-") else f"-{unit}"


def option(quantity: str, unit: str) -> str:
    """Return the option of a command that names the unit of a quantity."""
    name = "--" + OPTIONS[quantity].replace("_", "-")
    return f"{name}={unit}" if unit.startswith("-") else f"{name} {shlex.quote(unit)}"


class StatedUnits:
    """The units that a record states, compared with those in which its labels are read.

    Parameters
    ----------
    info
        What the record says.
    asked
        What the user says of units; this is believed.
    """

    def __init__(self, info: Mapping[str, Any], asked: LabelKeys) -> None:
        self.asked = asked
        self.keys: set[str] = set()
        self._found: dict[str, Statement] = {}
        self._foreign: dict[str, Statement] = {}
        for key in (key for key, value in info.items() if value is True):
            # As in "energy=-1.1 (Hartree)".
            if said := dict(_bare(key)):
                self.keys.add(key)
                self._found |= said
        stating = [key for key in info if states_units(key)]
        # What is said of one quantity counts more than what is said of all.
        for key in sorted(stating, key=lambda key: any(_quantities_in(key))):
            if said := dict(_statements(key, info[key])):
                self.keys.add(key)
                self._found |= said

    def compare(self, quantity: str, applied: str, named: Statement | None = None) -> None:
        """Compare a unit that is used with what the file says, or with what the name of the label says."""
        stated = named or self._found.get(quantity)
        if stated is None or getattr(self.asked, OPTIONS[quantity]) is not None:
            return
        if stated.unit is None or not _same(quantity, stated.unit, applied, stated.signed):
            self._foreign[quantity] = stated

    def understood(self) -> LabelKeys:
        """Return the units of energy, forces and length that are stated and known, for a format that defines them."""
        quantities = ("energy", "forces", "length")
        known = {OPTIONS[q]: self._found[q].unit for q in quantities if q in self._found and self._found[q].unit}
        return replace(USUAL, **known)  # type: ignore[arg-type]

    def refuse(self) -> None:
        """Refuse the units that differ and that nobody has named.

        Raises
        ------
        DataError
            If there are any.
        """
        if not self._foreign:
            return
        wanted: dict[str, tuple[str, str]] = {}
        for quantity, stated in self._foreign.items():
            wanted.setdefault(OPTIONS[quantity], (quantity, stated.unit or "UNIT"))
        said = " and ".join(dict.fromkeys(stated.said for stated in self._foreign.values()))
        given = " ".join(option(quantity, unit) for quantity, unit in wanted.values())
        usual = " ".join(option(quantity, USUAL_UNITS[quantity]) for quantity, _ in wanted.values())
        python = ", ".join(f"{name}={unit!r}" for name, (_, unit) in wanted.items())
        raise DataError(
            f"it says {said}; name the units of the file: {in_python(f'LabelKeys({python})')}`keel census FILE {given} "
            f"--write OUT` (or `{usual}`, if that is what they are)"
        )


def _same(quantity: str, stated: str, applied: str, signed: bool) -> bool:
    """Return whether two units have the same size and, if that is stated too, the same sign."""
    if ("virial" in stated) != ("virial" in applied) or units.is_per_atom(stated) != units.is_per_atom(applied):
        return False
    first, second = (_FACTORS[quantity](unit) for unit in (stated, applied))
    return first == second or (not signed and abs(first) == abs(second))


_FACTORS = {"energy": units.energy_factor, "forces": units.force_factor, "length": units.length_factor}
_FACTORS |= dict.fromkeys(("stress", "virial"), units.stress_factor)


def _quantities_in(key: str) -> Iterator[str]:
    """Yield the quantity whose unit a key states, if it names one."""
    found = _KEY.fullmatch(letters_of(key))
    yield from (_QUANTITIES[word] for word in (found.groups() if found else ()) if word)


def _bare(word: str) -> Iterator[tuple[str, Statement]]:
    """Yield the quantity whose unit a word without a value is.

    Words that may be anything else are not: ``A``, ``Au``, ``atom``.
    """
    if letters_of(word) in ("atom", "peratom") or word.lower() == "au":
        return
    for quantity in ("energy", "forces", "stress", "length"):
        if (unit := units.spelled(quantity, word)) and (quantity != "length" or len(word) > 2):
            yield quantity, Statement(unit, word)
            return


def _statements(key: str, value: Any) -> Iterator[tuple[str, Statement]]:
    """Yield each quantity of which a key states the unit."""
    if isinstance(value, Mapping):
        for name, unit in value.items():
            if quantity := _QUANTITIES.get(letters_of(str(name))):
                yield quantity, Statement(units.spelled(quantity, str(unit)), f"{key}: {name}={unit}")
        return
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    said = f"{key}={text:.60}"
    quantities = list(_quantities_in(key))
    for quantity, unit in _of_all(text).items() if not quantities else [(quantities[0], text)]:
        yield quantity, Statement(units.spelled(quantity, unit), said)


def _of_all(text: str) -> Mapping[str, str]:
    """Return the units of all quantities in a system or a list of units; words that are no units are ignored."""
    if (system := SYSTEMS.get(letters_of(text))) is not None:
        return system
    words = re.split(r"[,;\s]+", re.sub(r"\s*/\s*", "/", text))
    found: dict[str, str] = {}
    for word in words:
        quantity = next((q for q in ("energy", "forces", "stress", "length") if units.spelled(q, word)), None)
        if quantity is not None:
            # Two units of one quantity are not understood.
            found[quantity] = word if found.get(quantity, word) == word else text
    if "energy" in found:
        found.setdefault("virial", found["energy"])
    foreign = [q for q, word in found.items() if units.spelled(q, word) != USUAL_UNITS[q]]
    if "energy" in foreign or "length" in foreign:
        # Units that follow from these are no longer the usual ones either.
        both = f"{found['energy']}/{found['length']}" if {"energy", "length"} <= found.keys() else text
        found = {"forces": both, "stress": f"{both}^3", "virial": text, **found}
    return found

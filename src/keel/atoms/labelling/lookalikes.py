"""Keys that are like the usual names of labels: ``E``, ``energy_hartree``, ``gradient``, ``stress_GPa``.

They are not taken as labels: a remark names them, with the options that read them in the unit that their name states.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np

from keel.atoms import units
from keel.atoms.labelling.names import SET_ASIDE, letters_of
from keel.atoms.labelling.stated_units import USUAL_UNITS, Statement, opposite, option
from keel.atoms.record import Record

_OF = "dft|ref|qm|vasp|cp2k|pbe|scf|total|pot|potential|target|true"
"""What is written before or behind a letter: ``E_dft``, ``ref_F``."""
_NAMES = {
    "energy": f"e|e0|etot|toten|e(?:{_OF})|(?:{_OF})e|"
    "(?!kinetic|formation|zeropoint|surface|adsorption|cutoff)[a-z]*energ(?:y|ies)",
    "forces": f"f(?:{_OF})|(?:{_OF})f|f|frcs?|grads?|(?!external|magnetic|constrain)[a-z]*(?:forces?|gradients?)",
    "stress": "sigma|(?!target|external|applied|kinetic)[a-z]*(?:stress(?:es)?|virials?|pressure|pressuretensor)",
}
_LIKE = {label: re.compile(names) for label, names in _NAMES.items()}
_WORDS = {"energy": "energ(?:y|ies)", "forces": "forces?", "stress": "(?:stress(?:es)?|virials?)"}
_NOT_BEHIND = "unit|weight|mask|cut|std|err|unc|var|mse|mae|tol|thresh|conv|chang|diff|delta|above|gap|fermi|per|key"
_NOT_BEFORE = "kinetic|formation|zeropoint|surface|adsorption|target|external|applied|magnetic|constrain"
_LONGER = {
    label: re.compile(rf"(?!{_NOT_BEFORE})[a-z]*{word}(?!.*(?:{_NOT_BEHIND}))[a-z0-9]+")
    for label, word in _WORDS.items()
}
"""Names with words behind: ``energy_corrected``, ``forces_pbe``, ``stress_voigt``."""
_OPPOSITE = re.compile("grad|pressure")
"""What has the opposite sign of a force or stress."""


def is_like(label: str, key: str) -> bool:
    """Return whether a key may be another name of a label."""
    letters = letters_of(key)
    return not key.startswith(SET_ASIDE) and (_parts(label, letters) or _LONGER[label].fullmatch(letters)) is not None


@lru_cache(1024)
def unit_in_name(quantity: str, key: str) -> Statement | None:
    """Return the unit that the name of a label states, with a minus sign where it is that of a gradient or pressure."""
    parts = _parts("stress" if quantity == "virial" else quantity, letters_of(key))
    name, unit = parts or (key, _unit_of_words(quantity, re.split("[^A-Za-z0-9]+", key)))
    signed = quantity != "energy" and _OPPOSITE.search(name.lower()) is not None
    if not unit and not signed:
        return None
    unit = unit or USUAL_UNITS[quantity]
    stated = opposite(unit) if signed else unit
    return Statement(stated, f"{stated} in the name {key}", signed)


def hint(label: str, record: Record, used: set[str]) -> str | None:
    """Return a sentence that names the numbers of a frame that may be this label, or None."""
    values = {**record.arrays, **record.info}
    # What the reader has spoken of needs no second sentence.
    known = used.union(*(re.split("[^A-Za-z0-9_]+", remark) for remark in record.remarks))
    found = sorted(k for k, v in values.items() if k not in known and is_like(label, k) and _fits(label, v, record))
    if not found:
        return None
    quantity = quantity_of(label, found[0])
    stated = unit_in_name(quantity, found[0])
    unit = stated.unit if stated and stated.unit else USUAL_UNITS[quantity]
    named = "" if unit == USUAL_UNITS[quantity] else f" {option(quantity, unit)}"
    return f"no {label} under a usual name, but {', '.join(found)} (`--{label}-key {found[0]}{named}`)"


def quantity_of(label: str, key: str) -> str:
    """Return the quantity of a label under a key: a virial is an energy."""
    return "virial" if label == "stress" and "virial" in key.lower() else label


@lru_cache(1024)
def _parts(label: str, letters: str) -> tuple[str, str] | None:
    """Return the name of a label and the unit behind it; None if a key is something else."""
    for end in range(len(letters), 0, -1):
        name, rest = letters[:end], letters[end:]
        if _LIKE[label].fullmatch(name):
            unit = units.spelled(quantity_of(label, name), rest) if rest else ""
            if unit is not None:
                return name, unit
    return None


def _unit_of_words(quantity: str, words: list[str]) -> str:
    """Return the unit that the last words of a key spell, or nothing."""
    ends = ("_".join(words[k:]) for k in range(1, len(words)))
    return next((unit for end in ends if (unit := units.spelled(quantity, end))), "")


def _fits(label: str, value: Any, record: Record) -> bool:
    """Return whether a value has the numbers of a label."""
    try:
        numbers = np.asarray(value)
    except ValueError:
        return False
    if numbers.dtype.kind not in "if":
        return False
    if label == "energy":
        return numbers.ndim == 0
    if label == "forces":
        return numbers.shape == (len(record.numbers), 3)
    return bool(record.pbc.all()) and numbers.shape in ((6,), (9,), (3, 3))

"""Comment lines of extended XYZ with the same keys in the same order: the common position of each value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from keel.atoms.formats.columns import fields_of
from keel.atoms.formats.comment import RESERVED
from keel.atoms.labelling.convergence import SAYS_CONVERGED
from keel.atoms.labelling.lookalikes import is_like
from keel.atoms.labelling.names import (
    CELLS,
    COMPONENTS,
    ENERGY,
    FORCES,
    FREE_ENERGY,
    LABELS,
    PERIODIC,
    STRESS,
    UNUSED_COLUMNS,
    VIRIAL,
    cell_in_parts,
    is_label_name,
    letters_of,
    weight_of,
)
from keel.atoms.labelling.search import CP2K_COMMENT
from keel.atoms.labelling.stated import TOTALLED
from keel.atoms.labelling.stated_units import states_units
from keel.errors import DataError

_PLAIN = re.compile(r'([^\s="\'\[\]{},\\]+)=(?:"([^"\\]*)"|([^\s="\'\[\]{},\\]+))(?:\s+|$)')
_WITH_A_MEANING = frozenset(
    {
        "z",
        "forces_mask",
        "move_mask",
        "momenta",
        "masses",
        "mass",
        "velocities",
        *COMPONENTS,
        *TOTALLED,
        "occupancy",
        "volume",
        "cell",
        "stress",
    }
)
"""Names of columns and keys with a meaning to keel, and names similar to them."""
_OTHERS = SAYS_CONVERGED | PERIODIC
"""The same of keys, without separators."""


@dataclass(frozen=True)
class Template:
    """Comment lines with the same keys in the same order, and the same columns of atoms.

    Parameters
    ----------
    pattern
        Has a group for each value.
    cell, pbc, energy, stress
        The groups of these, 0 where there is none.
    virial
        Whether the stress is a virial.
    notes
        The other groups by their keys.
    kinds
        Kind of each column, see :mod:`keel.atoms.kernels.xyz`.
    forces
        Whether forces are among them.
    unused
        Names of the columns that are not labels.
    """

    pattern: re.Pattern[str]
    cell: int
    pbc: int
    energy: int
    stress: int
    virial: bool
    notes: tuple[tuple[str, int], ...]
    kinds: NDArray[np.int64]
    forces: bool
    unused: tuple[str, ...]


def template_of(text: str) -> Template | None:
    """Return the template of a comment line if all its pairs are plain and each label occurs once."""
    pairs: dict[str, str] = {}
    properties = ""
    at = len(text) - len(text.lstrip())
    while at < len(text):
        pair = _PLAIN.match(text, at)
        if pair is None:
            return None
        written, quoted, word = pair.groups()
        key = RESERVED.get(written.lower(), written)
        if key in pairs:
            return None
        if key == "Properties":
            pairs[key], properties = re.escape(text[at : pair.end()].rstrip()), quoted if word is None else word
        else:
            pairs[key] = re.escape(written) + ('="([^"\\\\]*)"' if word is None else _WORD)
        at = pair.end()
    return _template(tuple(pairs.items()), properties)


_WORD = r'=([^\s="\'\[\]{},\\]+)'


@lru_cache
def _template(pairs: tuple[tuple[str, str], ...], properties: str) -> Template | None:
    keys = [key for key, _ in pairs if key != "Properties"]
    lower = {key.lower() for key in keys}
    energies, stresses = ([k for k in keys if k.lower() in names] for names in (ENERGY, STRESS | VIRIAL))
    strange = _WITH_A_MEANING.union(FREE_ENERGY, FORCES) - {"stress"}
    columns = columns_of(properties)
    if len(energies) > 1 or len(stresses) > 1 or not strange.isdisjoint(lower) or columns is None:
        return None
    plain = [letters_of(key) for key in keys]
    if ("Lattice" not in keys and (cell_in_parts(keys) or not CELLS.isdisjoint(plain))) or not _OTHERS.isdisjoint(
        plain
    ):
        return None
    if any(states_units(key) or weight_of(key) is not None for key in keys):
        return None
    lacking = {"energy": not energies, "forces": 4 not in columns[0], "stress": not stresses}
    if any(lacking[label] and is_like(label, key) for label in LABELS for key in [*keys, *columns[1]]):
        return None
    if {*keys} >= CP2K_COMMENT or {"Stress", UNUSED_COLUMNS} & {*keys}:
        return None
    group = {key: number for number, key in enumerate(keys, 1)}
    labels = ["Lattice", "pbc", *energies, *stresses]
    return Template(
        re.compile(r"\s*" + r"\s+".join(pattern for _, pattern in pairs) + r"\s*"),
        cell=group.get("Lattice", 0),
        pbc=group.get("pbc", 0),
        energy=group[energies[0]] if energies else 0,
        stress=group[stresses[0]] if stresses else 0,
        virial=bool(stresses) and "virial" in stresses[0].lower(),
        notes=tuple((key, number) for key, number in group.items() if key not in labels),
        kinds=columns[0],
        forces=4 in columns[0],
        unused=columns[1],
    )


def columns_of(properties: str) -> tuple[NDArray[np.int64], tuple[str, ...]] | None:
    """Return what the columns are, and the names of the unused; None unless they are elements and numbers."""
    from keel.atoms.kernels.xyz import FORCE, POSITION, REAL, SPECIES, WHOLE

    try:
        fields = fields_of(properties)
    except DataError:
        return None
    forces = [name for name, _, _ in fields if name.lower() in FORCES]
    names = {"species": ("S", 1, SPECIES), "pos": ("R", 3, POSITION), **dict.fromkeys(forces, ("R", 3, FORCE))}
    others = sorted({name for name, _, _ in fields} - {*names})
    strange = any(is_label_name(name) or name.lower() in _WITH_A_MEANING for name in others)
    if len(forces) > 1 or strange or not {"species", "pos"} <= {name for name, _, _ in fields}:
        return None
    kinds: list[int] = []
    for name, kind, width in fields:
        if name in names:
            if (kind, width) != names[name][:2]:
                return None
            kinds += range(names[name][2], names[name][2] + width)
        elif kind in "RI":
            kinds += [REAL if kind == "R" else WHOLE] * width
        else:
            return None
    return np.array(kinds), tuple(others)

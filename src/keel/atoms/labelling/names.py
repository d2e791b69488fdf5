"""The names under which files keep energy, forces and stress, and those that keel gives to what it does not use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

LABELS = ("energy", "forces", "stress")
"""Labels that a frame may have."""
EXTRAPOLATED_ENERGY = "energy_extrapolated"
"""Key in ``Frame.info`` of the energy that was replaced by a force-consistent free energy."""
UNUSED_COLUMNS = "unused_columns"
"""Key of the names of the per-atom arrays that keel does not use, in stores and in files of earlier releases."""
SET_ASIDE = "other_"
"""Prefix in ``Frame.info`` of labels that were not used."""

_PREFIXES = ("", "ref_", "dft_", "qm_", "vasp_", "cp2k_", "pbe_", "target_", "true_")


def _names(*stems: str) -> frozenset[str]:
    return frozenset(prefix + stem for prefix in _PREFIXES for stem in stems)


FREE_ENERGY = _names("free_energy")
ENERGY = _names("energy", "total_energy", "potential_energy", "totalenergy") | {"energy_dft", "energy_ref"}
FORCES = _names("forces", "force") | {"forces_dft", "forces_ref"}
COMPONENTS = ("fx", "fy", "fz")
"""Forces in columns of their own."""
STRESS = _names("stress", "stresses_total") | {"stress_dft", "stress_ref"}
VIRIAL = _names("virial", "virials")
GLOBAL = FREE_ENERGY | ENERGY | STRESS | VIRIAL
"""Labels of the structure, not of each atom; all names in lower case."""


CELLS = frozenset(
    {"cell", "box", "simbox", "simulationbox", "unitcell", "supercell", "cellvectors", "latticevectors", "boxvectors"}
)
"""Other names of a cell, without separators."""
_PART_OF_CELL = re.compile(
    "(?:unitcell|cell|box|lattice|latt|lat)(?:vectors?|vec|lengths?|parameters?|params?)?(?:[abcxyz123]|alpha|beta|gamma)"
    "|tv[123]|a[123]|l[xyz]|[xyz](?:lo|hi)"
)
_LENGTHS_AND_ANGLES = ("a", "b", "c", "alpha", "beta", "gamma")


def cell_in_parts(keys: Iterable[str]) -> list[str]:
    """Return the keys, at least three, that state a cell by lengths, angles or vectors, else none."""
    plain = {letters_of(key): key for key in keys}
    parts = [key for letters, key in plain.items() if _PART_OF_CELL.fullmatch(letters)]
    if {*_LENGTHS_AND_ANGLES} <= plain.keys():
        return [plain[name] for name in _LENGTHS_AND_ANGLES]
    return parts if len(parts) >= 3 else []


PERIODIC = frozenset(
    {"periodic", "isperiodic", "periodicity", "periodicboundary", "periodicboundaries", "boundaryconditions"}
    | {"periodicboundaryconditions"}
)
"""Other names of ``pbc``, without separators."""
_WEIGHT = re.compile(
    "(?:config|loss)?(energy|energies|e|forces?|f|stress|stresses|virials?|v)weight|(?:config|sample|structure|loss)?()weight"
)


def letters_of(key: str) -> str:
    """Return the letters and digits of a key, in lower case: ``Energy_Unit`` is ``energyunit``."""
    return re.sub("[^a-z0-9]", "", key.lower())


def is_label_name(key: str) -> bool:
    """Return whether a file's key of this name would be read as a label."""
    return key.lower() in GLOBAL | FORCES


def is_global(key: str) -> bool:
    """Return whether a label of this name belongs to the structure, not to each atom."""
    return key.lower() in GLOBAL


@lru_cache(1024)
def weight_of(key: str) -> str | None:
    """Return the label whose weight in a loss a key of this name is, empty for all labels, None if it is no weight.

    The names are those of MACE (``config_weight``, ``config_energy_weight``, ...), of GPUMD (``weight``) and of FitSNAP
    (``eweight``, ``fweight``, ``vweight``).
    """
    found = _WEIGHT.fullmatch(letters_of(key))
    if found is None:
        return None
    word = found[1] or ""
    return next((label for label in (*LABELS, "virial") if word and word[:4] == label[: len(word)][:4]), "")

"""Rows with objects in them: the structure or its labels one level down, as in ``{"structure": ..., "outputs": ...}``.

Of mlearn's sets ``outputs``, of pymatgen's entries ``data``, of the Materials Project's tasks ``output``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from keel.atoms.labelling.names import is_label_name, letters_of
from keel.atoms.labelling.stated_units import states_units

Row = Mapping[str, Any]

POSITIONS = ("positions", "pos", "cart_coords", "cartesian_site_positions")
STRUCTURAL = frozenset({"structure", "sites", *POSITIONS})
RESULTS = frozenset(
    {
        *("output", "outputs", "result", "results", "calcresults", "calculation", "calculator", "data"),
        *("label", "labels", "target", "targets", "properties", "ref", "reference", "dft", "vasp"),
    }
)
"""Names of objects whose members are what was computed for the structure, without separators."""
ASIDE = "labels in an object of their own, {0}: not used (to use them: `--{1}-key {2}`)"


def is_row(columns: Iterable[str]) -> bool:
    """Return whether some of these columns contain a structure."""
    return not STRUCTURAL.isdisjoint(columns)


def flattened(row: Row) -> tuple[Row, tuple[str, ...]]:
    """Return a row with the members of its objects, and remarks.

    Members of an object with results count as the row's own, and so do those of the only one with a structure
    (``attributes`` of OPTIMADE, ``atoms``). Those that the row has already, or two objects, or an
    object of another name (``prediction``, ``uncertainty``) are called ``object.member``, and are labels only if the
    user names them so.
    """
    objects = {key: value for key, value in row.items() if isinstance(value, Mapping)}
    inner = {key: value for key, value in objects.items() if key not in STRUCTURAL and not states_units(key)}
    holders = [key for key, value in inner.items() if any(map(is_label_name, value)) or _only_structure(row, value)]
    if not holders:
        return row, ()
    flat = {key: value for key, value in row.items() if key not in holders}
    members = [(key, name, value) for key in holders for name, value in inner[key].items() if value is not None]
    alone = [key for key in holders if _only_structure(row, inner[key])]
    own = {key for key in holders if letters_of(key) in RESULTS or [key] == alone}
    times = Counter(name for key, name, _ in members if key in own)
    aside = []
    for key, name, value in members:
        if key in own and times[name] == 1 and row.get(name) is None:
            flat[name] = value
        elif row.get(name) != value:
            flat[f"{key}.{name}"] = value
            aside += [f"{key}.{name}"] * is_label_name(name)
    return flat, _remarks(aside)


def _only_structure(row: Row, value: Row) -> bool:
    return not is_row(row) and is_row(value)


def _remarks(aside: list[str]) -> tuple[str, ...]:
    if not aside:
        return ()
    label = next((label for label in ("energy", "forces", "stress") if label[:5] in aside[0].lower()), "energy")
    return (ASIDE.format(", ".join(sorted(aside)), label, aside[0]),)

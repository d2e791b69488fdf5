"""Tables of a study on what lies beyond the data: crystals under compression, and errors by how close atoms are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from keel.atoms.frame import Array
from keel.atoms.units import GPA
from keel.evaluation.equilibrium.squeeze import ROUNDING
from keel.evaluation.labels.by_contact import UNITS, bin_name
from keel.reporting.strategies import number
from keel.reporting.study.columns import Columns
from keel.reporting.study.data import Study
from keel.reporting.study.markdown import spread_text, table
from keel.results.squeezed import LENGTHS
from keel.wording import typeset

TEACHER = ("EAM", "the teacher")
QUANTITIES = {"forces": "force", "pressure": "pressure"}
"""Shown by contact; the CSV file also has energies."""


def squeeze_table(study: Study, system: str) -> str | None:
    """Where the pressure of each network and strategy falls, and how it compares with the teacher's; may be None."""
    found = study.tables["squeeze"].where(system=system)
    if not len(found):
        return None
    head = ("network", "strategy", "crystals that cave in, all seeds", "pressure first falls at (length; volume)",
            *(f"pressure at {length:g} of the length, the teacher's = 1" for length in LENGTHS))  # fmt: skip
    rows = [(*names, *_falls(group), *(_over(group, length) for length in LENGTHS)) for names, group in _groups(found)]
    return table(head, rows)


def _groups(found: Columns) -> Iterator[tuple[tuple[str, str], Columns]]:
    """Yield the rows of the teacher, which have no network, and of each network and strategy."""
    for network, members in found.groups("network").items():
        for strategy, group in members.groups("strategy").items():
            yield (TEACHER if not network else (network, strategy)), group


def _falls(group: Columns) -> tuple[str, str]:
    falls = group.where(length=LENGTHS[0])["first_fall_length"]
    known = falls[np.isfinite(falls)]
    share = f"{known.size} of {falls.size}"
    return share, f"{known.max():.2f}; {known.max() ** 3:.2f}" if known.size else "none"


def _over(group: Columns, length: float) -> str:
    """Return pressures over the teacher's, ``1.2 (0.8 to 3.1)``: median and range over crystals and seeds."""
    there = group.where(length=length)
    if not there["network"][0]:
        return f"{_range(there['pressure_gpa'])} GPa"
    pressing = there["teacher_gpa"] > ROUNDING / GPA
    return _range(there["pressure_gpa"][pressing] / there["teacher_gpa"][pressing])


def _range(values: Array) -> str:
    known = values[np.isfinite(values)]
    if not known.size:
        return "–"
    middle = number(float(np.median(known)))
    ends = number(float(known.min())), number(float(known.max()))
    return middle if ends[0] == ends[1] else f"{middle} ({ends[0]} to {ends[1]})"


def contact_tables(study: Study, system: str) -> Iterator[tuple[str, str]]:
    """Yield a heading and a table for each quantity: errors in bins of contacts by network and strategy."""
    contacts = study.tables["contacts"].where(system=system)
    for quantity, name in QUANTITIES.items():
        found = contacts.where(quantity=quantity)
        if len(found):
            unit = typeset(UNITS[quantity])
            yield (
                f"Mean absolute {name} error ({unit}) by closest contact in sums of covalent radii:",
                _by_contact(found),
            )


def _by_contact(found: Columns) -> str:
    # The teacher may know fewer elements, and so fewer frames.
    trained = found.rows(found["network"] != "")
    lower = sorted(set(found["lower"].tolist()))
    bins = [own if len(own := trained.where(lower=low)) else found.where(lower=low) for low in lower]
    names = [
        f"{bin_name(low, float(own['upper'][0]))} ({own['frames'][0]:.0f} frames)"
        for low, own in zip(lower, bins, strict=True)
    ]
    labels = [number(float(own["label"][0])) for own in bins]
    rows: list[Sequence[str]] = [("–", "mean label", *labels)]
    for network_and_strategy, group in _groups(found):
        rows.append((*network_and_strategy, *(spread_text(group.where(lower=low)["error"]) for low in lower)))
    return table(("network", "strategy", *names), rows)

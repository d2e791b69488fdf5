"""Crystals under compression in the report: rows of the table of strategies, and a separate table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keel.atoms.units import GPA
from keel.evaluation.equilibrium.squeeze import Squeezed
from keel.reporting.run.tables import Table
from keel.reporting.strategies import number
from keel.results.run import TrialResults, by_strategy
from keel.results.squeezed import LENGTHS
from keel.wording import typeset


def fall_rows(trials: Sequence[TrialResults], strategies: Sequence[str]) -> list[tuple[str, ...]]:
    """Return where the pressure first falls with each strategy, of all crystals and seeds, and in how many of them."""
    groups = {name: [s for trial in trials if trial.strategy == name for s in trial.squeezed] for name in strategies}
    if not any(groups.values()):
        return []
    shares = (f"{sum(s.first_fall is not None for s in found)} of {len(found)}" for found in groups.values())
    return [
        ("Squeezed: pressure first falls at (of the length; volume)", *map(first_fall, groups.values())),
        ("Squeezed crystals that cave in, all seeds", *shares),
    ]


def first_fall(found: Sequence[Squeezed]) -> str:
    """Return the first length and volume at which the pressure of one of some crystals falls: ``0.84; 0.59``."""
    falls = [s.first_fall for s in found if s.first_fall is not None]
    return "–" if not found else f"{max(falls):.2f}; {max(falls) ** 3:.2f}" if falls else "none"


def caving_in(trials: Sequence[TrialResults]) -> list[str]:
    """Return the strategies with which a crystal caves in, of one seed or more."""
    return list(dict.fromkeys(t.strategy for t in trials for s in t.squeezed if s.first_fall is not None))


def crystal_names(trials: Sequence[TrialResults], teacher: Sequence[Squeezed]) -> list[str]:
    """Return the names of all crystals that were squeezed."""
    return list(dict.fromkeys(s.name for s in (*(s for trial in trials for s in trial.squeezed), *teacher)))


def squeeze_table(trials: Sequence[TrialResults], teacher: Sequence[Squeezed]) -> Table:
    """Pressures of each crystal and where they first fall, by strategy and for the teacher."""
    groups = {name: [s for t in members for s in t.squeezed] for name, members in by_strategy(trials).items()}
    groups = {name: found for name, found in {**groups, "teacher": list(teacher)}.items() if found}
    rows: list[tuple[str, ...]] = []
    for name in crystal_names(trials, teacher):
        columns = [[s for s in found if s.name == name] for found in groups.values()]
        rows.append((f"{typeset(name)}: first fall at", *map(first_fall, columns)))
        rows += [
            (f"{typeset(name)}: pressure at {length} (GPa)", *(_pressure(c, length) for c in columns))
            for length in LENGTHS
        ]
    caption = "Where the pressure first falls (length; volume), and how high it is at some lengths (mean over seeds)"
    return Table(caption, ("", *groups), tuple(rows))


def _pressure(found: Sequence[Squeezed], length: float) -> str:
    return number(float(np.mean([s.pressure_at(length) for s in found])) / GPA) if found else "–"

"""How objects display themselves: in one line, and in a notebook as a small table, with a picture if there is one.

A class derives from :class:`Shown` and writes one method, :meth:`Shown.facts`; a dataclass of numbers need not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from html import escape
from itertools import islice

from keel.wording import capitalised

Facts = Mapping[str, str]
CELL = "text-align:left;padding:1px 10px 1px 0;vertical-align:top"
MOST_MEMBERS, LONGEST = 6, 100
"""Members of a collection shown individually, and characters of a text."""
MOST_ROWS = 12
"""Largest number of rows of a table; the rest is counted."""


class Shown:
    """An object that describes itself."""

    def called(self) -> str:
        """Return what it is, in a word or two."""
        return type(self).__name__

    def facts(self) -> Facts:
        """Return the facts about the object, by term, in the order of a reader's interest.

        For a dataclass these are its fields, arrays by their shapes.
        """
        named = [field.name for field in fields(self) if not field.name.startswith("_")]  # type: ignore[arg-type]
        return {name.replace("_", " "): brief(getattr(self, name)) for name in named}

    def picture(self) -> str:
        """Return a picture as SVG; empty if there is none."""
        return ""

    def __repr__(self) -> str:
        """Describe the object in one line."""
        return f"{self.called()}({'; '.join(' '.join(fact) for fact in self.facts().items())})"

    def _repr_html_(self) -> str:
        """Describe the object in a notebook."""
        rows = [(capitalised(term), value) for term, value in self.facts().items()]
        return beside(self.picture(), table(rows, title=self.called()))


def brief(value: object) -> str:
    """Return a value in few words: arrays by their shape, long texts by their beginning, collections by their size."""
    shape = getattr(value, "shape", ())
    if shape:
        return f"({', '.join(map(str, shape))})"
    if isinstance(value, Mapping | list | tuple) and len(value) > MOST_MEMBERS:
        return f"{len(value):,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {brief(member)}" for key, member in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(brief, value)) or "none"
    text = "none" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def table(rows: Iterable[Sequence[object]], *, title: str = "", header: Sequence[str] = ()) -> str:
    """Return an HTML table of some rows, with all text escaped."""
    caption = f'<caption style="{CELL};caption-side:top;font-weight:bold">{escape(title)}</caption>' if title else ""
    head = f"<tr>{''.join(map(_head, header))}</tr>" if header else ""
    body = "".join(f"<tr>{_head(row[0])}{''.join(map(_cell, row[1:]))}</tr>" for row in rows)
    return f"<table>{caption}{head}{body}</table>"


def beside(picture: str, words: str) -> str:
    """Return a picture, if there is one, and words to its right."""
    if not picture:
        return words
    return f'<div style="display:flex;gap:16px;align-items:center">{picture}{words}</div>'


def first_rows(rows: Iterable[Sequence[object]], total: int) -> list[Sequence[object]]:
    """Return rows for a table: all of them, or the first and how many more there are."""
    if total <= MOST_ROWS:
        return list(rows)
    return [*islice(rows, MOST_ROWS - 1), (f"and {total - MOST_ROWS + 1:,} more",)]


def line(
    values: Sequence[float], *, label: str, lowest: float = float("inf"), width: int = 220, height: int = 70
) -> str:
    """Return a curve of values, one after the other, as SVG; those that are not finite are left out.

    It begins at the lowest of them, or at ``lowest`` where that is lower.
    """
    finite = [(k, value) for k, value in enumerate(values) if abs(value) < float("inf")]
    if len(finite) < 2:
        return ""
    low, high = min(lowest, *(v for _, v in finite)), max(v for _, v in finite)
    points = " ".join(
        f"{width * k / (len(values) - 1):.1f},{height * (1 - (v - low) / ((high - low) or 1.0)):.1f}" for k, v in finite
    )
    return (
        f'<svg role="img" aria-label="{escape(label)}" width="{width}" height="{height + 4}" '
        f'viewBox="0 -2 {width} {height + 4}"><title>{escape(label)}</title>'
        f'<polyline points="{points}" fill="none" stroke="#3b6ea8" stroke-width="1.5"/></svg>'
    )


def number_of(number: int, what: str) -> str:
    """Return ``1 frame`` or ``1,280 frames``."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def _head(text: object) -> str:
    return f'<th style="{CELL};font-weight:normal;color:#667">{escape(str(text))}</th>'


def _cell(text: object) -> str:
    return f'<td style="{CELL}">{escape(str(text))}</td>'

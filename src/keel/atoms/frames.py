"""Lists of frames with a one-line summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, SupportsIndex, overload

from keel.atoms.elements import symbol
from keel.atoms.frame import Frame
from keel.atoms.labelling.names import LABELS
from keel.showing import Facts, Shown, beside, first_rows, number_of, table


class Frames(Shown, list[Frame]):
    """A list of frames as :func:`keel.read` returns it: a list like any other, that is short where it is printed.

    Examples
    --------
    >>> import keel
    >>> keel.datasets.phosphorus()[::40]
    Frames(20; atoms 640 P; labels energy, forces; from phosphorus)
    """

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        numbers = Counter(int(z) for frame in self for z in frame.numbers.tolist())
        elements = ", ".join(f"{n:,} {symbol(z)}" for z, n in numbers.most_common(5))
        more = f" and {len(numbers) - 5} more elements" if len(numbers) > 5 else ""
        sources = list(dict.fromkeys(frame.source.rpartition(", ")[0] or frame.source for frame in self))
        named = ", ".join(sources[:2]) + (f" and {len(sources) - 2:,} more places" if len(sources) > 2 else "")
        return {"atoms": elements + more, "labels": self._labels(), "from": named} if self else {}

    def _labels(self) -> str:
        counts = {label: sum(getattr(f, label) is not None for f in self) for label in LABELS}
        names = (label if n == len(self) else f"{label} of {n:,}" for label, n in counts.items() if n)
        return ", ".join(names) or "none"

    def __repr__(self) -> str:
        """Say what is in it."""
        return "; ".join([f"Frames({len(self):,}", *(" ".join(fact) for fact in self.facts().items())]) + ")"

    def _repr_html_(self) -> str:
        """Show the first frame, and each of the first ones in a row."""
        header = ("", "atoms", "labels", "energy (eV/atom)", "from")
        rows = ((k, f.formula, f.facts()["labels"], _energy(f), f.source) for k, f in enumerate(self))
        title = f"{number_of(len(self), 'frame')}: {self.facts().get('atoms', '')}"
        words = table(first_rows(rows, len(self)), title=title, header=header)
        return beside(self[0].picture() if self else "", words)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> Frames: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Frame | Frames:
        """Return a frame, or some of them as a list of the same kind."""
        found: Any = super().__getitem__(index)
        return Frames(found) if isinstance(index, slice) else found

    def __add__(self, others: Iterable[Frame]) -> Frames:  # type: ignore[override]
        """Return the frames of both lists."""
        return Frames([*self, *others])


def _energy(frame: Frame) -> str:
    return "" if frame.energy is None else f"{frame.energy / len(frame):.4f}"

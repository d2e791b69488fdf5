"""Keel's own file formats: each has a number, and older files are upgraded when they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keel.errors import DataError

Content = dict[str, Any]


@dataclass(frozen=True)
class Format:
    """A format of files, whose number is that of the first release, usually 1, plus one for each change.

    A change that readers must know about comes with a step, which converts the content of a file of the previous
    format. So every file written by a release of keel stays readable.

    Parameters
    ----------
    name
        What the files are, as used in sentences: ``"potential"``, ``"run folder"``, ...
    key
        Key of the number in their content; a file without one has the first format.
    steps
        From the first format to the next, from that to the one after it, ...
    first
        The number of the first release.
    """

    name: str
    key: str = "format"
    steps: tuple[Callable[[Any], Content], ...] = ()
    first: int = 1

    @property
    def number(self) -> int:
        """The number that is written now."""
        return self.first + len(self.steps)

    @property
    def stamp(self) -> Content:
        """The mark of the format in a file that is written now."""
        return {self.key: self.number}

    def refuse_newer(self, content: Any, where: object) -> None:
        """Raise a DataError if the file at ``where`` is of a newer format."""
        found = content.get(self.key) if isinstance(content, Mapping) else None
        if isinstance(found, int) and found > self.number:
            raise DataError(f"{where}: it was written by a newer keel ({self.name} format {found}); update keel")

    def upgraded(self, content: Any, where: object) -> Content:
        """Return the content of a file as it would be written now.

        Raises
        ------
        DataError
            If the file at ``where`` is of a newer format, its number is invalid, or it is not an object.
        """
        found = content.get(self.key, self.first) if isinstance(content, Mapping) else self.first
        if not isinstance(found, int) or found < self.first:
            raise DataError(f"{where}: this is not a {self.name} of keel (its format is {found!r})")
        self.refuse_newer(content, where)
        current = content
        for step in self.steps[found - self.first :]:
            current = step(current)
        if not isinstance(current, Mapping):
            raise DataError(f"{where}: this is not a {self.name} of keel")
        return {**current, **self.stamp}

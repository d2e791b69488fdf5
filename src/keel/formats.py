"""Keel's own file formats: each carries a number, and older files are upgraded when they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keel.errors import DataError

Content = dict[str, Any]


@dataclass(frozen=True)
class Format:
    """A format of files, whose number is that of the first release, usually 1, plus one for each change.

    A change that readers must know of comes with a step: what turns the content of a file as it was before into what
    it would be now. So every file that a release of keel has written stays readable.

    Parameters
    ----------
    name
        What the files are, as it stands in sentences: ``"potential"``, ``"run folder"``, ...
    key
        Where in their content the number stands; a file without one is of the first format.
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
        """The number of what is written now."""
        return self.first + len(self.steps)

    @property
    def stamp(self) -> Content:
        """What a file that is written now carries."""
        return {self.key: self.number}

    def refuse_newer(self, content: Any, where: object) -> None:
        """Raise a DataError if the file at ``where`` is of a format to come."""
        found = content.get(self.key) if isinstance(content, Mapping) else None
        if isinstance(found, int) and found > self.number:
            raise DataError(f"{where}: it was written by a newer keel ({self.name} format {found}); update keel")

    def upgraded(self, content: Any, where: object) -> Content:
        """Return the content of a file as it would be written now.

        Raises
        ------
        DataError
            If the file at ``where`` is of a format to come, its number is none, or it is no object.
        """
        found = content.get(self.key, self.first) if isinstance(content, Mapping) else self.first
        if not isinstance(found, int) or found < self.first:
            raise DataError(f"{where}: this is no {self.name} of keel (its format is {found!r})")
        self.refuse_newer(content, where)
        current = content
        for step in self.steps[found - self.first :]:
            current = step(current)
        if not isinstance(current, Mapping):
            raise DataError(f"{where}: this is no {self.name} of keel")
        return {**current, **self.stamp}

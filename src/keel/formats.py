"""Keel's own file formats: each carries a number, and older files are upgraded when they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keel.errors import DataError

Content = dict[str, Any]


@dataclass(frozen=True)
class Format:
    """A format of files, whose number is that of the first release plus one for each change.

    A change that readers must know of comes with a step: what turns the content of a file as it was before into what
    it would be now. So every file that a release of keel has written stays readable.

    Parameters
    ----------
    name
        What the files are, as it stands in sentences: ``"potential"``, ``"run folder"``, ...
    key
        Where in their content the number stands; a file without one is of the first format.
    steps
        From format 1 to 2, from 2 to 3, ...
    """

    name: str
    key: str = "format"
    steps: tuple[Callable[[Any], Content], ...] = ()

    @property
    def number(self) -> int:
        """The number of what is written now."""
        return 1 + len(self.steps)

    @property
    def stamp(self) -> Content:
        """What a file that is written now carries."""
        return {self.key: self.number}

    def upgraded(self, content: Any, where: object) -> Content:
        """Return the content of a file as it would be written now.

        Raises
        ------
        DataError
            If the file at ``where`` is of a format to come, or its number is none.
        """
        found = content.get(self.key, 1) if isinstance(content, Mapping) else 1
        if not isinstance(found, int) or found < 1:
            raise DataError(f"{where}: this is no {self.name} of keel (its format is {found!r})")
        if found > self.number:
            raise DataError(f"{where}: it was written by a newer keel ({self.name} format {found}); update keel")
        current = content
        for step in self.steps[found - 1 :]:
            current = step(current)
        return {**current, **self.stamp}

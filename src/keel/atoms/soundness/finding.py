"""What a check of many frames has to say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing, in one sentence.

    ``level`` is ``refuse`` (the data cannot be used as they are), ``warn`` (look at it) or ``note``.
    """

    level: str
    message: str

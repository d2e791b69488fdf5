"""Pages whose figures nobody looks at: these are made, but not drawn, which takes most of the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

EMPTY = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": '<svg viewBox="0 0 1 1"></svg>'}


@contextmanager
def undrawn() -> Iterator[None]:
    """Within it files of figures are empty."""
    from matplotlib.figure import Figure

    def write(figure: Figure, target: Any, *, format: str, **_: object) -> None:
        content = EMPTY[format]
        target.write(content) if isinstance(content, str) else target.write_bytes(content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", write)
        patch.setattr(Figure, "draw_without_rendering", lambda figure: None)
        yield

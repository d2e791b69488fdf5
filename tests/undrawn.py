"""Figures of pages that nobody looks at are made, but not drawn, which takes most of the time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from matplotlib.figure import Figure

EMPTY = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": '<svg viewBox="0 0 1 1"></svg>'}
DRAWING = {name: getattr(Figure, name) for name in ("savefig", "draw_without_rendering")}


@contextmanager
def undrawn() -> Iterator[None]:
    """Within it files of a page's figures, saved with their format, are empty."""

    def write(figure: Figure, target: Any, *, format: str | None = None, **options: Any) -> Any:
        if format is None:
            return DRAWING["savefig"](figure, target, **options)
        content = EMPTY[format]
        return target.write(content) if isinstance(content, str) else target.write_bytes(content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", write)
        patch.setattr(Figure, "draw_without_rendering", lambda figure: None)
        yield


@contextmanager
def drawn(pdf_fonts: int = 3) -> Iterator[None]:
    """Within it figures are drawn; those of keel have fonts of type 42, which take a third of the time."""
    from keel.reporting.figures import style

    with pytest.MonkeyPatch.context() as patch:
        for name, function in DRAWING.items():
            patch.setattr(Figure, name, function)
        patch.setitem(style.RC, "pdf.fonttype", pdf_fonts)
        yield

"""Figures of many small panels with one legend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keel.files import replace_file
from keel.reporting.figures import ReportFigure
from keel.reporting.figures.style import QUIET, house_style
from keel.reporting.study.columns import Columns
from keel.training.known import look_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.2
"""Size of a printed page, in inches."""
RESOLUTION = 300
"""Resolution of PNG files in dots per inch."""


def empty_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def grid(rows: int, columns: int, height: float, **shared: Any) -> tuple[Figure, Any]:
    """Return a figure of panels, each ``height`` inches high, and its axes of shape (rows, columns)."""
    width = min(WIDTH, 1.4 + 2.4 * columns)
    figure = empty_figure(width, rows * height + 0.7)
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def legend_below(figure: Figure, panels: Iterable[Axes]) -> None:
    """Name every curve once, below all panels."""
    named = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if named:
        # Inches of the line and of a letter; longer rows would be cut off.
        entry = 0.5 + 0.06 * max(map(len, named))
        most = max(1, int(figure.get_figwidth() / entry))
        rows = -(-len(named) // most)
        columns = -(-len(named) // rows)  # no row has only one name while another is full
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=columns, handlelength=2.2)


def absent(axes: Axes) -> None:
    """Show that there is nothing to draw in a panel."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", color=QUIET)


def line_of(strategy: str) -> dict[str, Any]:
    """Return colour and dashes of a strategy."""
    return {"color": look_of(strategy).colour, "linestyle": look_of(strategy).line}


def shown_of(curves: Columns, most: int) -> str:
    """Return a sentence that names the pairs drawn, where these are not all of a table."""
    pairs = len(curves.different("pair"))
    return f" The {most} most common of the {pairs} pairs in the tables are drawn." if pairs > most else ""


def drawn_range(curves: Sequence[Any]) -> float:
    """Return the highest of all finite values, 1 if there is none."""
    values = np.concatenate([np.ravel(curve) for curve in curves]) if curves else np.array([])
    values = values[np.isfinite(values)]
    return float(values.max()) if values.size else 1.0


def save(picture: ReportFigure, folder: Path) -> None:
    """Write ``NAME.png`` and ``NAME.pdf``; the same tables give the same files."""
    with house_style():
        picture.figure.draw_without_rendering()
        picture.figure.set_layout_engine("none")
        for kind, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
            write = partial(picture.figure.savefig, format=kind, dpi=RESOLUTION, metadata=metadata)
            replace_file(folder / f"{picture.name}.{kind}", write)

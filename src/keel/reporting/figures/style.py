"""How every figure looks, and how it becomes PNG, PDF, SVG, CSV and a picture inside the page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from keel.files import replace_file
from keel.records import write_csv
from keel.showing import Facts, Shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID = "#24292f", "#d8dde3"
"""Text and lines of a figure, which follow the page's dark mode."""
QUIET = "#7d8690"
"""Guides to the eye."""

RC: dict[str, Any] = {
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "lines.linewidth": 1.5,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "keel",
    "pdf.fonttype": 42,
}

Parameters = ParamSpec("Parameters")
Column: TypeAlias = Sequence[Any] | NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class ReportFigure(Shown):
    """A figure with its texts and data.

    Parameters
    ----------
    name
        Stem of its files.
    alt
        What it shows, for readers who cannot see it.
    figure
        The drawing.
    data
        The numbers that it shows: equally long columns by name.
    title, caption
        Text above and below it; may be empty.
    on_paper
        Keep its white background on a dark page.
    """

    name: str
    alt: str
    figure: Figure
    data: Mapping[str, Column]
    title: str = ""
    caption: str = ""
    on_paper: bool = False

    def facts(self) -> Facts:
        """See :class:`~keel.showing.Shown`."""
        return {"of": self.name, "alt": self.alt}

    def picture(self) -> str:
        """See :class:`~keel.showing.Shown`."""
        with house_style():
            text = as_svg(self.figure)
        return text[text.index("<svg") :]


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house style, leaving the settings of the process as they were."""
    import matplotlib

    with matplotlib.rc_context(RC):
        yield


def styled(draw: Callable[Parameters, ReportFigure]) -> Callable[Parameters, ReportFigure]:
    """Make a function draw in the house style."""

    @wraps(draw)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> ReportFigure:
        with house_style():
            return draw(*args, **kwargs)

    return wrapper


@overload
def new_figure(height: float = ..., *, panels: None = None) -> tuple[Figure, Axes]: ...
@overload
def new_figure(height: float = ..., *, panels: tuple[int, ...]) -> tuple[Figure, tuple[Axes, ...]]: ...
def new_figure(height: float = 2.6, *, panels: tuple[int, ...] | None = None) -> tuple[Figure, Axes | tuple[Axes, ...]]:
    """Return an empty figure of 3.7 inches, readable at the width of a phone and of a printed column.

    ``panels`` are the relative heights of stacked panels that share their x axis.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.7, height), layout="constrained")
    FigureCanvasAgg(figure)
    if panels is None:
        return figure, figure.add_subplot()
    return figure, tuple(figure.subplots(len(panels), 1, sharex=True, height_ratios=panels))


def slug(*parts: object) -> str:
    """Return a file name made of letters, digits, dots and dashes."""
    return "-".join(re.sub(r"[^A-Za-z0-9.+]+", "-", str(part)).strip("-.")[:60] or "x" for part in parts)


def joined(names: Sequence[str], parts: Sequence[Sequence[object]]) -> dict[str, Column]:
    """Return columns from the parts of a table, each with a value or a whole column under each name."""
    columns: dict[str, list[object]] = {name: [] for name in names}
    for part in parts:
        length = max((len(value) for value in part if isinstance(value, np.ndarray)), default=1)
        for column, value in zip(columns.values(), part, strict=True):
            column += value.tolist() if isinstance(value, np.ndarray) else [value] * length
    return dict(columns)


def save(picture: ReportFigure, folder: Path) -> str:
    """Write ``NAME.png``, ``.pdf``, ``.svg`` and ``.csv`` into a folder and return the figure as inline SVG."""
    with house_style():
        # Once arranged, a figure need not be arranged again for every format.
        picture.figure.draw_without_rendering()
        picture.figure.set_layout_engine("none")
        # Without a date the same results give the same file.
        for kind, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
            write = partial(picture.figure.savefig, format=kind, dpi=200, metadata=metadata)
            replace_file(folder / f"{picture.name}.{kind}", write)
        write_csv(folder / f"{picture.name}.csv", tuple(picture.data), zip(*picture.data.values(), strict=True))
        text = as_svg(picture.figure)
        replace_file(folder / f"{picture.name}.svg", lambda temporary: temporary.write_text(text, encoding="utf-8"))
        return inline_svg(picture, text)


def as_svg(figure: Figure) -> str:
    """Return a figure as SVG, on whatever background it is put."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", dpi=200, transparent=True, metadata={"Date": None})
    return buffer.getvalue()


def inline_svg(picture: ReportFigure, text: str) -> str:
    """Return the SVG of a figure as an element that scales with the page and takes the page's font and ink."""
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    head, body = text[text.index("<svg") :].split(">", 1)
    # Names of groups repeat from figure to figure; those referred to get the figure's name.
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r'( id="|#)((?:p|m|C|h|image)[0-9a-f_]{6,})', rf"\1{picture.name}-\2", body)
    body = body.replace(INK, "currentColor").replace(GRID, "var(--grid)")
    body = re.sub(r"(font: [^;\"]*?px) [^;\"]*", r"\1 var(--font)", body)
    box = re.search(r'viewBox="[^"]*"', head)
    assert box is not None
    kind, label = "figure paper" if picture.on_paper else "figure", f"alt-{picture.name}"
    opening = f'<svg class="{kind}" role="img" aria-labelledby="{label}" {box.group()}>'
    return f'{opening}<title id="{label}">{escape(picture.alt)}</title>{body.strip()}'

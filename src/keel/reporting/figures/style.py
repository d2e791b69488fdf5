"""How every figure looks, and how it becomes PNG, PDF, CSV and a picture inside the page."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from keel.files import replace_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID = "#24292f", "#d8dde3"
"""Text and lines of a figure, which follow the page in dark mode."""

# Okabe & Ito (2008): told apart by colour-blind readers.
COLOURS = {
    "vanilla": "#D55E00",
    "sam": "#CC79A7",
    "pretrain": "#0072B2",
    "pretrain+replay": "#56B4E9",
    "pretrain-forces": "#009E73",
    "zbl-delta": "#E69F00",
    "eam-delta": "#8C6D31",
}
MARKERS = {"vanilla": "o", "sam": "s", "pretrain": "^", "pretrain+replay": "D", "pretrain-forces": "v"}
DASHES = {"vanilla": "-", "sam": "--", "pretrain": "-", "pretrain+replay": "-.", "pretrain-forces": ":"}
SPARE = ("#009E73", "#E69F00", "#56B4E9", "#8C6D31", "#6A3D9A", "#B15928")

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
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "text.parse_math": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "keel",
    "pdf.fonttype": 42,
}

Parameters = ParamSpec("Parameters")


@dataclass(frozen=True, eq=False)
class ReportFigure:
    """A figure with what must stand beside it.

    Parameters
    ----------
    name
        Stem of its files.
    title, caption
        What stands above and below it, may be empty; ``alt`` says what it shows to who cannot see it.
    figure
        The drawing.
    data
        The numbers that it shows: equally long columns by name.
    on_paper
        Keep its white background on a dark page.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure
    data: Mapping[str, Sequence[Any]]
    on_paper: bool = False


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


def new_figure(height: float = 2.6, width: float = 3.7) -> tuple[Figure, Axes]:
    """Return an empty figure of one column (inches), readable at the width of a phone and of a printed column."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def colour_of(strategy: str) -> str:
    """Return the colour of a strategy, the same in every figure."""
    return COLOURS.get(strategy) or SPARE[sum(strategy.encode()) % len(SPARE)]


def slug(*parts: object) -> str:
    """Return a file name made of letters, digits, dots and dashes."""
    return "-".join(re.sub(r"[^A-Za-z0-9.+]+", "-", str(part)).strip("-.") or "x" for part in parts)


def save(picture: ReportFigure, folder: Path) -> str:
    """Write ``NAME.png``, ``NAME.pdf`` and ``NAME.csv`` into a folder and return the figure as inline SVG."""
    with house_style():
        # Once arranged, a figure need not be arranged again for every format.
        picture.figure.draw_without_rendering()
        picture.figure.set_layout_engine("none")
        for suffix in ("png", "pdf"):
            replace_file(
                folder / f"{picture.name}.{suffix}", lambda path, kind=suffix: _write(picture.figure, path, kind)
            )
        write_table(folder / f"{picture.name}.csv", picture.data)
        return inline_svg(picture)


def _write(figure: Figure, path: Path, kind: str) -> None:
    # Without a date the same results give the same file.
    metadata = {"CreationDate": None} if kind == "pdf" else {"Software": None}
    figure.savefig(path, format=kind, dpi=200, metadata=metadata)


def write_table(path: Path, data: Mapping[str, Sequence[Any]]) -> None:
    """Write equally long columns as CSV."""

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(data)
            writer.writerows(zip(*data.values(), strict=True))

    replace_file(path, write)


def inline_svg(picture: ReportFigure) -> str:
    """Return a figure as an SVG element that scales with the page and takes the page's font and ink."""
    buffer = io.StringIO()
    picture.figure.savefig(buffer, format="svg", dpi=200, transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Names of groups repeat from figure to figure; only clip paths and markers are referred to.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'( id="|#)((?:p|m|C|h|image)[0-9a-f_]{6,})', rf"\1{picture.name}-\2", svg)
    svg = svg.replace(INK, "currentColor").replace(GRID, "var(--grid)")
    svg = re.sub(r"(font: [^;\"]*?px) [^;\"]*", r"\1 var(--font)", svg)
    width, height = (float(value) for value in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())  # type: ignore[union-attr]
    kind = "figure paper" if picture.on_paper else "figure"
    head = f'<svg class="{kind}" role="img" aria-labelledby="alt-{picture.name}" viewBox="0 0 {width:g} {height:g}">'
    return head + f'<title id="alt-{picture.name}">{_escape(picture.alt)}</title>' + svg[svg.index(">") + 1 :].strip()


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

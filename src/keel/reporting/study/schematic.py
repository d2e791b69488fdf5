"""The method as a drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keel.reporting.figures import ReportFigure
from keel.reporting.figures.style import INK, QUIET, styled
from keel.reporting.study.panels import empty_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Fill and edge of a box: what is data, what comes from the classical teacher, what is learned, what is measured.
DATA = ("#eef1f4", "#57606a")
TEACHER = ("#d9f0e6", "#00785a")
NETWORK = ("#dcebf7", "#00588c")
TEST = ("#fbe6d8", "#a84600")


@dataclass(frozen=True)
class Box:
    """A step: its centre and size on a page of 100 x 42, its title, what it does, and its colours."""

    x: float
    y: float
    width: float
    height: float
    title: str
    text: str
    colours: tuple[str, str]


BOXES = {
    "data": Box(10, 31, 17, 12, "DFT data", "structures, energies,\nforces, stresses", DATA),
    "eam": Box(33, 31, 17, 12, "EAM fit", "Morse pairs, density,\nembedding; seconds", TEACHER),
    "perturb": Box(59, 31, 23, 16, "Perturbation, n rounds", "", TEACHER),
    "labels": Box(87, 31, 19, 12, "Labels", "energy and forces\nfrom the EAM; endless", TEACHER),
    "pretrain": Box(87, 9, 19, 12, "Pretraining", "learns walls and wells\nthat no data show", NETWORK),
    "fine": Box(62, 9, 19, 12, "Fine-tuning", "all weights, on\nthe DFT labels", NETWORK),
    "md": Box(36, 9, 19, 12, "MD from test structures", "until each run fails\nor reaches its end", TEST),
    "report": Box(11, 9, 18, 12, "Report", "survival, errors, g(r),\ndimers, verdict", TEST),
}
ARROWS = (
    ("data", "eam"),
    ("eam", "perturb"),
    ("perturb", "labels"),
    ("labels", "pretrain"),
    ("pretrain", "fine"),
    ("fine", "md"),
    ("md", "report"),
)
STEPS = ("1  move every atom,\n    a round further", "2  bring some pairs\n    very close or apart")


@styled
def workflow_figure() -> ReportFigure:
    """From DFT data to a report: EAM fit, perturbation, labels, pretraining, fine-tuning, molecular dynamics."""
    figure = empty_figure(7.2, 3.1)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 98), ylim=(0, 42))
    axes.axis("off")
    for start, end in ARROWS:
        _arrow(axes, BOXES[start], BOXES[end])
    for box in BOXES.values():
        _box(axes, box)
    _rounds(axes, BOXES["perturb"])
    _shortcut(axes)
    return ReportFigure(
        name="workflow",
        title="The method",
        caption="An embedded-atom potential (EAM), fitted to the DFT data in seconds, labels structures that are "
        "perturbed far beyond them. A network learns from these first, and then from the DFT labels; plain training "
        "has the second part only.",
        alt="DFT data, EAM fit, n rounds of two perturbation steps, EAM labels, pretraining, fine-tuning on the DFT "
        "labels, molecular dynamics, report.",
        figure=figure,
        data={},
    )


def _box(axes: Axes, box: Box) -> None:
    from matplotlib.patches import FancyBboxPatch

    fill, edge = box.colours
    corner = (box.x - box.width / 2, box.y - box.height / 2)
    style = "round,pad=0,rounding_size=1.6"
    axes.add_patch(FancyBboxPatch(corner, box.width, box.height, boxstyle=style, fc=fill, ec=edge, lw=1.1, zorder=2))
    top = box.y + box.height / 2 - 2.6
    axes.text(box.x, top, box.title, ha="center", va="center", weight="bold", fontsize=8.2, color=edge, zorder=3)
    axes.text(box.x, top - 4.6, box.text, ha="center", va="center", fontsize=7.4, linespacing=1.25, zorder=3)


def _arrow(axes: Axes, start: Box, end: Box) -> None:
    if start.y == end.y:
        side = 1 if end.x > start.x else -1
        head, tail = (end.x - side * end.width / 2, end.y), (start.x + side * start.width / 2, start.y)
    else:
        head, tail = (end.x, end.y + end.height / 2), (start.x, start.y - start.height / 2)
    _line(axes, tail, head)


def _line(
    axes: Axes, tail: tuple[float, float], head: tuple[float, float], bend: str = "arc3", **style: object
) -> None:
    look = {"arrowstyle": "-|>", "color": INK, "lw": 1.2, "shrinkA": 1, "shrinkB": 1, "mutation_scale": 10, **style}
    axes.annotate("", head, tail, arrowprops={**look, "connectionstyle": bend}, zorder=1)


def _rounds(axes: Axes, box: Box) -> None:
    """Draw the two steps of a round, and that rounds repeat."""
    edge = box.colours[1]
    for number, text in enumerate(STEPS):
        y = box.y + 1.6 - 5.4 * number
        axes.text(box.x - 9.6, y, text, ha="left", va="center", fontsize=7.2, linespacing=1.15, zorder=3)
    right, top = box.x + box.width / 2, box.y + box.height / 2
    _line(axes, (right - 3, top), (right - box.width + 3, top), "arc3,rad=0.35", color=edge, linestyle="-")
    axes.text(box.x, top + 2.6, "again", ha="center", va="center", fontsize=6.8, color=edge, style="italic")


def _shortcut(axes: Axes) -> None:
    """Draw that DFT labels go straight into fine-tuning."""
    data, fine = BOXES["data"], BOXES["fine"]
    middle, x = 19.5, (data.x, fine.x)
    style = {"color": QUIET, "lw": 1.2, "linestyle": (0, (4, 2)), "zorder": 1}
    axes.plot([x[0], x[0]], [data.y - data.height / 2, middle], **style)
    axes.plot([x[0], x[1]], [middle, middle], **style)
    _line(axes, (x[1], middle), (x[1], fine.y + fine.height / 2), color=QUIET)
    axes.text(36, middle + 1.3, "DFT labels", ha="center", va="center", fontsize=7.2, color=QUIET)

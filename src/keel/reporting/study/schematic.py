"""The method as a drawing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from keel.reporting.figures import ReportFigure
from keel.reporting.figures.style import INK, QUIET, styled
from keel.reporting.study import icons
from keel.reporting.study.panels import WIDTH, empty_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Fill and edge of a box: data, from the classical teacher, learned, measured.
DATA = ("#eef1f4", "#57606a")
TEACHER = ("#d9f0e6", "#00785a")
NETWORK = ("#dcebf7", "#00588c")
TEST = ("#fbe6d8", "#a84600")
TOP, BOTTOM = 37, 10
"""Middles of the two rows of boxes on a page of 100 x 53."""


@dataclass(frozen=True)
class Box:
    """A step: its middle and size, its title, what it does, its colours and its small drawing."""

    x: float
    y: float
    width: float
    title: str
    text: str
    colours: tuple[str, str]
    icon: Callable[[Axes, float, float, str], None]
    height: float = 18


BOXES = {
    "data": Box(10, TOP, 18, "DFT data", "structures, energies,\nforces, stresses", DATA, icons.atoms),
    "eam": Box(35, TOP, 20, "EAM fit", "pairs, electron density,\nembedding; in seconds", TEACHER, icons.well),
    "perturb": Box(
        62, TOP, 22, "Perturbation", "1. displace every atom\n2. push or pull some pairs", TEACHER, icons.moves
    ),
    "labels": Box(
        88, TOP, 20, "Labels of the EAM", "energies, forces, stress,\nas many as needed", TEACHER, icons.labels
    ),
    "pretrain": Box(88, BOTTOM, 20, "Pretraining", "walls and wells\nthat no data cover", NETWORK, icons.network),
    "fine": Box(62, BOTTOM, 20, "Fine-tuning", "all weights,\non the DFT labels", NETWORK, icons.network),
    "md": Box(36, BOTTOM, 20, "Molecular dynamics", "from test structures,\nuntil a run fails", TEST, icons.trajectory),
    "report": Box(10, BOTTOM, 18, "Report", "survival, errors, g(r),\ndimers, verdict", TEST, icons.survival),
}
CHAIN = tuple(BOXES)


@styled
def workflow_figure() -> ReportFigure:
    """From DFT data to a report: EAM fit, perturbation, labels, pretraining, fine-tuning, molecular dynamics."""
    figure = empty_figure(WIDTH, 3.85)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 99), ylim=(0, 53))
    axes.axis("off")
    for start, end in pairwise(CHAIN):
        _arrow(axes, BOXES[start], BOXES[end])
    for box in BOXES.values():
        _box(axes, box)
    _rounds(axes, BOXES["perturb"])
    data, labels, fine = (BOXES[name] for name in ("data", "labels", "fine"))
    _shortcut(axes, data.x, data, fine.x, fine, "DFT labels: plain training has only these", QUIET)
    side = labels.x - labels.width / 4
    _shortcut(axes, side, labels, fine.x + fine.width / 4, fine, "reminders", labels.colours[1])
    return ReportFigure(
        name="workflow",
        title="The method",
        caption="An embedded-atom potential (EAM), fitted to the DFT data in seconds, labels structures that are "
        "perturbed far beyond them. A network learns from these first, and then from the DFT labels, with one batch in "
        "fifty from the EAM as a reminder; plain training has the DFT labels only.",
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
    axes.text(box.x, box.y + 6.3, box.title, ha="center", va="center", weight="bold", fontsize=8.4, color=edge)
    axes.text(box.x, box.y - 5.4, box.text, ha="center", va="center", fontsize=7.4, linespacing=1.3)
    box.icon(axes, box.x, box.y + 1.0, edge)


def _arrow(axes: Axes, start: Box, end: Box) -> None:
    if start.y == end.y:
        side = 1 if end.x > start.x else -1
        _line(axes, (start.x + side * start.width / 2, start.y), (end.x - side * end.width / 2, end.y))
    else:
        _line(axes, (start.x, start.y - start.height / 2), (end.x, end.y + end.height / 2))


def _line(axes: Axes, tail: tuple[float, float], head: tuple[float, float], bend: str = "arc3", **style: Any) -> None:
    look = {"arrowstyle": "-|>", "color": INK, "lw": 1.2, "shrinkA": 1, "shrinkB": 1, "mutation_scale": 10, **style}
    axes.annotate("", head, tail, arrowprops={**look, "connectionstyle": bend}, zorder=1)


def _rounds(axes: Axes, box: Box) -> None:
    """Draw that the two steps are repeated."""
    top, edge = box.y + box.height / 2, box.colours[1]
    _line(axes, (box.x + 6, top), (box.x - 6, top), "arc3,rad=0.45", color=edge)
    axes.text(box.x, top + 4.6, "n rounds, each moves further", ha="center", va="center", fontsize=7.4, color=edge)


def _shortcut(axes: Axes, start: float, top: Box, end: float, bottom: Box, words: str, colour: str) -> None:
    """Draw labels that go from a box above, at ``start``, straight into a box below, at ``end``."""
    middle = (TOP + BOTTOM) / 2
    style: dict[str, Any] = {"color": colour, "lw": 1.2, "linestyle": (0, (4, 2)), "zorder": 1}
    axes.plot([start, start, end], [top.y - top.height / 2, middle, middle], **style)
    _line(axes, (end, middle), (end, bottom.y + bottom.height / 2), color=colour)
    axes.text((start + end) / 2, middle + 1.6, words, ha="center", va="center", fontsize=7.4, color=colour)

"""Figures of a run: one function from data to a :class:`ReportFigure` each."""

from keel.lazy import find_submodules
from keel.reporting.figures.compression import squeeze_figure
from keel.reporting.figures.contacts import contact_figure
from keel.reporting.figures.curves import decomposition_figure, dimer_figure, rdf_figure
from keel.reporting.figures.stability import causes_figure, survival_figure, trade_off_figure
from keel.reporting.figures.structure import failure_figure
from keel.reporting.figures.style import ReportFigure, save
from keel.reporting.figures.training import parity_figure, training_figure, validation_figure

__all__ = [
    "ReportFigure",
    "causes_figure",
    "contact_figure",
    "decomposition_figure",
    "dimer_figure",
    "failure_figure",
    "parity_figure",
    "rdf_figure",
    "save",
    "squeeze_figure",
    "survival_figure",
    "trade_off_figure",
    "training_figure",
    "validation_figure",
]

find_submodules(__name__)

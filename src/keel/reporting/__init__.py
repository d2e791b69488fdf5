"""Figures and the HTML report of a run folder."""

from keel.reporting.report import write_report
from keel.reporting.results import RunResults, load_results

__all__ = ["RunResults", "load_results", "write_report"]

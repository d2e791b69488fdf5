"""Figures, the HTML report of a run folder, and the assessment page of one or several potentials."""

from keel.lazy import find_submodules
from keel.reporting.assessment.page import write_assessment
from keel.reporting.run.report import write_report
from keel.results.assessment import Assessment, described, read_assessments
from keel.results.run import RunResults, load_results

__all__ = [
    "Assessment",
    "RunResults",
    "described",
    "load_results",
    "read_assessments",
    "write_assessment",
    "write_report",
]

find_submodules(__name__)

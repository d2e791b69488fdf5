"""Figures, the HTML report of a run folder, and the assessment page of one or several potentials."""

from keel.reporting.assessed import Assessment, described
from keel.reporting.assessment import write_assessment
from keel.reporting.assessment_files import read_assessments
from keel.reporting.report import write_report
from keel.reporting.results import RunResults, load_results

__all__ = [
    "Assessment",
    "RunResults",
    "described",
    "load_results",
    "read_assessments",
    "write_assessment",
    "write_report",
]

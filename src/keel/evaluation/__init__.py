"""Probes of a potential, one in each file: accuracy, dimer curves, radial distribution functions, conservation."""

from keel.evaluation.check import CheckResult, Curve, Metric
from keel.evaluation.conservation import force_consistency, nve_drift
from keel.evaluation.dimers import DimerCurve, dimer_curve, dimers, write_curves
from keel.evaluation.invariance import invariance
from keel.evaluation.jacobian import jacobian_symmetry
from keel.evaluation.locality import extensivity, locality
from keel.evaluation.rdf import RDF, rdf, rdf_error, rdf_error_percent
from keel.evaluation.rdf_window import RDFWindow
from keel.evaluation.smoothness import smoothness
from keel.potentials.accuracy import Accuracy, Parity, accuracy

__all__ = [
    "RDF",
    "Accuracy",
    "CheckResult",
    "Curve",
    "DimerCurve",
    "Metric",
    "Parity",
    "RDFWindow",
    "accuracy",
    "dimer_curve",
    "dimers",
    "extensivity",
    "force_consistency",
    "invariance",
    "jacobian_symmetry",
    "locality",
    "nve_drift",
    "rdf",
    "rdf_error",
    "rdf_error_percent",
    "smoothness",
    "write_curves",
]

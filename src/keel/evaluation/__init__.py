"""Probes of a potential, one in each file: accuracy, dimer curves, radial distribution functions, conservation."""

from keel.evaluation.conservation import Conservation, Smoothness, force_consistency, nve_drift, smoothness
from keel.evaluation.dimers import DimerCurve, dimer_curve, dimers, write_curves
from keel.evaluation.rdf import RDF, rdf, rdf_error, rdf_error_percent
from keel.evaluation.rdf_window import RDFWindow
from keel.potentials.accuracy import Accuracy, Parity, accuracy

__all__ = [
    "RDF",
    "Accuracy",
    "Conservation",
    "DimerCurve",
    "Parity",
    "RDFWindow",
    "Smoothness",
    "accuracy",
    "dimer_curve",
    "dimers",
    "force_consistency",
    "nve_drift",
    "rdf",
    "rdf_error",
    "rdf_error_percent",
    "smoothness",
    "write_curves",
]

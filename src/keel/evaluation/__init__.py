"""Probes of a potential, one in each file.

Accuracy, dimer curves, radial distribution functions, conservation; of crystals at rest the equation of state, elastic
constants, phonons and vacancies.
"""

from keel.evaluation.conservation import Conservation, Smoothness, force_consistency, nve_drift, smoothness
from keel.evaluation.dimers import DimerCurve, dimer_curve, dimers, write_curves
from keel.evaluation.elastic import elastic
from keel.evaluation.equation_of_state import equation_of_state
from keel.evaluation.phonons import phonons
from keel.evaluation.rdf import RDF, rdf, rdf_error, rdf_error_percent
from keel.evaluation.rdf_window import RDFWindow
from keel.evaluation.relaxation import NotRelaxedError, relaxed
from keel.evaluation.vacancy import vacancy
from keel.potentials.accuracy import Accuracy, Parity, accuracy

__all__ = [
    "RDF",
    "Accuracy",
    "Conservation",
    "DimerCurve",
    "NotRelaxedError",
    "Parity",
    "RDFWindow",
    "Smoothness",
    "accuracy",
    "dimer_curve",
    "dimers",
    "elastic",
    "equation_of_state",
    "force_consistency",
    "nve_drift",
    "phonons",
    "rdf",
    "rdf_error",
    "rdf_error_percent",
    "relaxed",
    "smoothness",
    "vacancy",
    "write_curves",
]

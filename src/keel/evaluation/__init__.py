"""Probes of a potential, one in each file.

Accuracy; dimers, trimers and bonds of clusters; radial distribution functions; whether forces are derivatives,
energies conserved, smooth, invariant, extensive and local; of crystals at rest the equation of state, elastic
constants, phonons and vacancies.
"""

from keel.evaluation.bond_scans import bond_scans
from keel.evaluation.check import CheckResult, Curve, Film, Metric
from keel.evaluation.conservation import force_consistency, nve_drift
from keel.evaluation.diatomics import diatomics
from keel.evaluation.dimers import DimerCurve, dimer_curve, dimers, write_curves
from keel.evaluation.elastic import elastic
from keel.evaluation.equation_of_state import equation_of_state
from keel.evaluation.invariance import invariance
from keel.evaluation.jacobian import jacobian_symmetry
from keel.evaluation.leaderboards import leaderboard_curve, leaderboard_means, leaderboard_metrics
from keel.evaluation.locality import extensivity, locality
from keel.evaluation.phonons import phonons
from keel.evaluation.rdf import RDF, rdf, rdf_error, rdf_error_percent
from keel.evaluation.rdf_window import RDFWindow
from keel.evaluation.relaxation import NotRelaxedError, relaxed
from keel.evaluation.smoothness import smoothness
from keel.evaluation.trimers import trimers
from keel.evaluation.vacancy import vacancy
from keel.potentials.accuracy import Accuracy, Parity, accuracy

__all__ = [
    "RDF",
    "Accuracy",
    "CheckResult",
    "Curve",
    "DimerCurve",
    "Film",
    "Metric",
    "NotRelaxedError",
    "Parity",
    "RDFWindow",
    "accuracy",
    "bond_scans",
    "diatomics",
    "dimer_curve",
    "dimers",
    "elastic",
    "equation_of_state",
    "extensivity",
    "force_consistency",
    "invariance",
    "jacobian_symmetry",
    "leaderboard_curve",
    "leaderboard_means",
    "leaderboard_metrics",
    "locality",
    "nve_drift",
    "phonons",
    "rdf",
    "rdf_error",
    "rdf_error_percent",
    "relaxed",
    "smoothness",
    "trimers",
    "vacancy",
    "write_curves",
]

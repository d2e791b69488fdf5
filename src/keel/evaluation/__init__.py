"""Probes of a potential, one in each file, and the statistics of differences.

How long molecular dynamics is stable; errors against labels; distances, angles and diffusion in recorded trajectories,
and the density under pressure; curves of dimers, trimers and bonds; whether forces are derivatives and smooth, and
symmetries are kept; resistance to compression, equation of state, stiffness, vibrations and vacancies of crystals.
:mod:`keel.evaluation.battery` applies them all to a potential.
"""

import sys
from importlib import import_module

from keel.comparison.lifetimes import Lifetimes
from keel.comparison.paired import Comparison, compare_lifetimes, verdict
from keel.comparison.samples import Sample
from keel.comparison.statistics import Interval, bootstrap_interval, mean_interval, variance_components
from keel.disagreement import force_disagreement
from keel.evaluation.check import CheckResult, Curve, Film, Metric
from keel.evaluation.clusters.bond_scans import bond_scans
from keel.evaluation.clusters.diatomics import diatomics
from keel.evaluation.clusters.dimers import DimerCurve, dimer_curve, dimers, write_curves
from keel.evaluation.clusters.labelled_dimers import dimer_curves_of
from keel.evaluation.clusters.leaderboards import leaderboard_curve, leaderboard_means, leaderboard_metrics
from keel.evaluation.clusters.trimers import trimers
from keel.evaluation.equilibrium.compression import compression
from keel.evaluation.equilibrium.elastic import elastic
from keel.evaluation.equilibrium.equation_of_state import equation_of_state
from keel.evaluation.equilibrium.phonons import phonons
from keel.evaluation.equilibrium.relaxation import NotRelaxedError, relaxation, relaxed
from keel.evaluation.equilibrium.squeeze import Squeezed, squeeze, various_crystals
from keel.evaluation.equilibrium.vacancy import vacancy
from keel.evaluation.exact.conservation import force_consistency, nve_drift
from keel.evaluation.exact.invariance import invariance
from keel.evaluation.exact.jacobian import jacobian_symmetry
from keel.evaluation.exact.locality import extensivity, locality
from keel.evaluation.exact.smoothness import smoothness
from keel.evaluation.labels.against_labels import contact_errors, evaluate
from keel.evaluation.labels.by_contact import errors_by_contact
from keel.evaluation.labels.by_disagreement import errors_by_disagreement
from keel.evaluation.settings import AssessmentSettings
from keel.evaluation.stability.conditions import Condition, LadderSettings
from keel.evaluation.stability.contacts import close_contacts
from keel.evaluation.stability.md_stability import judge_ladder, ladder, md_stability
from keel.evaluation.stability.rdf_window import RDFWindow
from keel.evaluation.structure.angles import bond_angles
from keel.evaluation.structure.density import density
from keel.evaluation.structure.diffusion import diffusion
from keel.evaluation.structure.pair_structure import pair_structure
from keel.evaluation.structure.rdf import RDF, rdf, rdf_error, rdf_error_percent
from keel.lazy import find_submodules
from keel.potentials.accuracy import Accuracy, Parity, accuracy

__all__ = [
    "RDF",
    "Accuracy",
    "AssessmentSettings",
    "CheckResult",
    "Comparison",
    "Condition",
    "Curve",
    "DimerCurve",
    "Film",
    "Interval",
    "LadderSettings",
    "Lifetimes",
    "Metric",
    "NotRelaxedError",
    "Parity",
    "RDFWindow",
    "Sample",
    "Squeezed",
    "accuracy",
    "bond_angles",
    "bond_scans",
    "bootstrap_interval",
    "close_contacts",
    "compare_lifetimes",
    "compression",
    "contact_errors",
    "density",
    "diatomics",
    "diffusion",
    "dimer_curve",
    "dimer_curves_of",
    "dimers",
    "elastic",
    "equation_of_state",
    "errors_by_contact",
    "errors_by_disagreement",
    "evaluate",
    "extensivity",
    "force_consistency",
    "force_disagreement",
    "invariance",
    "jacobian_symmetry",
    "judge_ladder",
    "ladder",
    "leaderboard_curve",
    "leaderboard_means",
    "leaderboard_metrics",
    "locality",
    "md_stability",
    "mean_interval",
    "nve_drift",
    "pair_structure",
    "phonons",
    "rdf",
    "rdf_error",
    "rdf_error_percent",
    "relaxation",
    "relaxed",
    "smoothness",
    "squeeze",
    "trimers",
    "vacancy",
    "variance_components",
    "various_crystals",
    "verdict",
    "write_curves",
]

# Where it was before it moved; a module of that name would hide the function.
sys.modules[f"{__name__}.diffusion"] = import_module("keel.evaluation.structure.diffusion")

find_submodules(__name__)

"""Molecular dynamics of many structures at once, first-passage stability, survival."""

from keel.dynamics.criteria import (
    AtomsLost,
    Criterion,
    ForceCap,
    FusedAtoms,
    Moment,
    NonFinite,
    Overheated,
    default_criteria,
)
from keel.dynamics.md import md
from keel.dynamics.results import Snapshot, Trajectory
from keel.dynamics.settings import ComputeSettings, MDSettings, SimulationSettings
from keel.dynamics.simulate import simulate
from keel.dynamics.stability import Rung, StabilityResult, find_rung, stability
from keel.dynamics.survival import Survival, kaplan_meier
from keel.dynamics.trajectory_files import read_trajectories
from keel.lazy import find_submodules

__all__ = [
    "AtomsLost",
    "ComputeSettings",
    "Criterion",
    "ForceCap",
    "FusedAtoms",
    "MDSettings",
    "Moment",
    "NonFinite",
    "Overheated",
    "Rung",
    "SimulationSettings",
    "Snapshot",
    "StabilityResult",
    "Survival",
    "Trajectory",
    "default_criteria",
    "find_rung",
    "kaplan_meier",
    "md",
    "read_trajectories",
    "simulate",
    "stability",
]

find_submodules(__name__)

"""keel: physics-informed pretraining that keeps machine-learned interatomic potentials stable in molecular dynamics.

Units: eV, angstrom, fs; stress in eV/angstrom^3 with ASE's sign.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from keel.lazy import submodule
from keel.version import __version__ as __version__

# Public name -> module that defines it; imported on first use, as every room is, so that `keel --help` answers at once.
_PUBLIC = {
    "AtomGraph": "keel.atoms.graph",
    "Frame": "keel.atoms.frame",
    "Potential": "keel.potentials.base",
    "Prediction": "keel.potentials.base",
    "EAM": "keel.potentials.classical.eam",
    "ThreeBody": "keel.potentials.classical.three_body",
    "ZBL": "keel.potentials.classical.zbl",
    "ContactRepulsion": "keel.potentials.classical.contact_repulsion",
    "LennardJones": "keel.potentials.classical.lennard_jones",
    "SumPotential": "keel.potentials.sum",
    "ClampedNetwork": "keel.potentials.networks.clamped",
    "CGCNN": "keel.potentials.networks.cgcnn",
    "M3GNet": "keel.potentials.networks.m3gnet",
    "TorchMDET": "keel.potentials.networks.torchmd_et",
    "KeelCalculator": "keel.interfaces.ase",
    "KeelError": "keel.errors",
    "DataError": "keel.errors",
    "ConfigError": "keel.errors",
    "batch": "keel.atoms.batching",
    "read": "keel.atoms.read",
    "write": "keel.atoms.write",
    "load": "keel.potentials.loading",
    "open_potential": "keel.potentials.external.opening",
    "fit_eam": "keel.fitting",
    "train": "keel.training",
    "Strategy": "keel.training",
    "TrainingSettings": "keel.training",
    "PerturbationSettings": "keel.perturbation",
    "MDSettings": "keel.dynamics.settings",
    "AssessmentSettings": "keel.evaluation.settings",
    "census": "keel.atoms.census",
    "evaluate": "keel.evaluation.labels.against_labels",
    "perturb": "keel.perturbation",
    "md": "keel.dynamics.md",
    "assess": "keel.workflow.assess_given",
    "Network": "keel.potentials.networks.network",
    "load_plugins": "keel.plugins",
    "register_probe": "keel.evaluation.battery",
    "register_reader": "keel.kinds",
    "register_strategy": "keel.training",
    "register_teacher": "keel.fitting",
}

_OTHERWISE = {"census": "take_census"}
"""Public names that differ from those in their modules."""
_ROOMS = (
    *("atoms", "comparison", "datasets", "dynamics", "errors", "evaluation", "fitting", "interfaces", "perturbation"),
    *("potentials", "reporting", "results", "testing", "training", "workflow"),
)
"""Packages that users call; other modules are imported too when they are named."""

__all__ = sorted([*_PUBLIC, "datasets"])

if TYPE_CHECKING:
    from keel import atoms as atoms
    from keel import comparison as comparison
    from keel import datasets as datasets
    from keel import dynamics as dynamics
    from keel import errors as errors
    from keel import evaluation as evaluation
    from keel import fitting as fitting
    from keel import interfaces as interfaces
    from keel import perturbation as perturbation
    from keel import potentials as potentials
    from keel import reporting as reporting
    from keel import results as results
    from keel import testing as testing
    from keel import training as training
    from keel import workflow as workflow
    from keel.atoms.batching import batch as batch
    from keel.atoms.census import take_census as census  # noqa: F401
    from keel.atoms.frame import Frame as Frame
    from keel.atoms.graph import AtomGraph as AtomGraph
    from keel.atoms.read import read as read
    from keel.atoms.write import write as write
    from keel.dynamics.md import md as md
    from keel.dynamics.settings import MDSettings as MDSettings
    from keel.errors import ConfigError as ConfigError
    from keel.errors import DataError as DataError
    from keel.errors import KeelError as KeelError
    from keel.evaluation.battery import register_probe as register_probe
    from keel.evaluation.labels.against_labels import evaluate as evaluate
    from keel.evaluation.settings import AssessmentSettings as AssessmentSettings
    from keel.fitting import fit_eam as fit_eam
    from keel.fitting import register_teacher as register_teacher
    from keel.interfaces.ase import KeelCalculator as KeelCalculator
    from keel.kinds import register_reader as register_reader
    from keel.perturbation import PerturbationSettings as PerturbationSettings
    from keel.perturbation import perturb as perturb
    from keel.plugins import load_plugins as load_plugins
    from keel.potentials.base import Potential as Potential
    from keel.potentials.base import Prediction as Prediction
    from keel.potentials.classical.contact_repulsion import ContactRepulsion as ContactRepulsion
    from keel.potentials.classical.eam import EAM as EAM
    from keel.potentials.classical.lennard_jones import LennardJones as LennardJones
    from keel.potentials.classical.three_body import ThreeBody as ThreeBody
    from keel.potentials.classical.zbl import ZBL as ZBL
    from keel.potentials.external.opening import open_potential as open_potential
    from keel.potentials.loading import load as load
    from keel.potentials.networks.cgcnn import CGCNN as CGCNN
    from keel.potentials.networks.clamped import ClampedNetwork as ClampedNetwork
    from keel.potentials.networks.m3gnet import M3GNet as M3GNet
    from keel.potentials.networks.network import Network as Network
    from keel.potentials.networks.torchmd_et import TorchMDET as TorchMDET
    from keel.potentials.sum import SumPotential as SumPotential
    from keel.training import Strategy as Strategy
    from keel.training import TrainingSettings as TrainingSettings
    from keel.training import register_strategy as register_strategy
    from keel.training import train as train
    from keel.workflow.assess_given import assess as assess


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        return submodule(__name__, name)
    globals()[name] = value = getattr(import_module(_PUBLIC[name]), _OTHERWISE.get(name, name))
    return value


def __dir__() -> list[str]:
    return sorted([*_PUBLIC, *_ROOMS, "__all__", "__doc__", "__version__"])

"""keel: physics-informed pretraining that keeps machine-learned interatomic potentials stable in molecular dynamics.

Units: eV, angstrom, fs; stress in eV/angstrom^3 with ASE's sign.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> module that defines it; imported on first use, so that `keel --help` answers at once.
_PUBLIC = {
    "AtomGraph": "keel.atoms.graph",
    "Frame": "keel.atoms.frame",
    "Potential": "keel.potentials.base",
    "Prediction": "keel.potentials.base",
    "EAM": "keel.potentials.classical.eam",
    "ZBL": "keel.potentials.classical.zbl",
    "LennardJones": "keel.potentials.classical.lennard_jones",
    "SumPotential": "keel.potentials.sum",
    "CGCNN": "keel.potentials.networks.cgcnn",
    "M3GNet": "keel.potentials.networks.m3gnet",
    "TorchMDET": "keel.potentials.networks.torchmd_et",
    "KeelCalculator": "keel.interfaces.ase",
    "KeelError": "keel.errors",
    "DataError": "keel.errors",
    "ConfigError": "keel.errors",
    "batch": "keel.atoms.neighbours",
    "read": "keel.atoms.read",
    "write": "keel.atoms.write",
    "load": "keel.potentials.loading",
    "fit_eam": "keel.fitting",
    "train": "keel.training",
    "Strategy": "keel.training",
    "TrainingSettings": "keel.training",
    "PerturbationSettings": "keel.perturbation",
    "datasets": "keel.datasets",
}

__all__ = sorted(_PUBLIC)

if TYPE_CHECKING:
    from keel import datasets as datasets
    from keel.atoms.frame import Frame as Frame
    from keel.atoms.graph import AtomGraph as AtomGraph
    from keel.atoms.neighbours import batch as batch
    from keel.atoms.read import read as read
    from keel.atoms.write import write as write
    from keel.errors import ConfigError as ConfigError
    from keel.errors import DataError as DataError
    from keel.errors import KeelError as KeelError
    from keel.fitting import fit_eam as fit_eam
    from keel.interfaces.ase import KeelCalculator as KeelCalculator
    from keel.perturbation import PerturbationSettings as PerturbationSettings
    from keel.potentials.base import Potential as Potential
    from keel.potentials.base import Prediction as Prediction
    from keel.potentials.classical.eam import EAM as EAM
    from keel.potentials.classical.lennard_jones import LennardJones as LennardJones
    from keel.potentials.classical.zbl import ZBL as ZBL
    from keel.potentials.loading import load as load
    from keel.potentials.networks.cgcnn import CGCNN as CGCNN
    from keel.potentials.networks.m3gnet import M3GNet as M3GNet
    from keel.potentials.networks.torchmd_et import TorchMDET as TorchMDET
    from keel.potentials.sum import SumPotential as SumPotential
    from keel.training import Strategy as Strategy
    from keel.training import TrainingSettings as TrainingSettings
    from keel.training import train as train


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'keel' has no attribute {name!r}")
    module = import_module(_PUBLIC[name])
    value = module if name == "datasets" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])

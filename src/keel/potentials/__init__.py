"""Every potential: a batch of structures in, energy, forces and stress out.

Importing this package registers the built-in classes, so that :func:`keel.load` can rebuild them by name.
"""

from keel.potentials.base import Potential, Prediction
from keel.potentials.cgcnn import CGCNN
from keel.potentials.eam import EAM
from keel.potentials.external import MACE, ASEPotential, MatglPotential, TorchMDNetPotential
from keel.potentials.lennard_jones import LennardJones
from keel.potentials.loading import load
from keel.potentials.m3gnet import M3GNet
from keel.potentials.pair import PairPotential
from keel.potentials.sum import SumPotential
from keel.potentials.torchmd_et import TorchMDET
from keel.potentials.zbl import ZBL

__all__ = [
    "CGCNN",
    "EAM",
    "MACE",
    "ZBL",
    "ASEPotential",
    "LennardJones",
    "M3GNet",
    "MatglPotential",
    "PairPotential",
    "Potential",
    "Prediction",
    "SumPotential",
    "TorchMDET",
    "TorchMDNetPotential",
    "load",
]

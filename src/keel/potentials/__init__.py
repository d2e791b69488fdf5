"""Every potential: a batch of structures in, energy, forces and stress out.

Importing this package registers the built-in classes, so that :func:`keel.load` can rebuild them by name.
"""

from keel.potentials.base import Potential, Prediction
from keel.potentials.classical.eam import EAM
from keel.potentials.classical.lennard_jones import LennardJones
from keel.potentials.classical.pair import PairPotential
from keel.potentials.classical.zbl import ZBL
from keel.potentials.external import MACE, ASEPotential, MatglPotential, TorchMDNetPotential
from keel.potentials.loading import load
from keel.potentials.networks.cgcnn import CGCNN
from keel.potentials.networks.m3gnet import M3GNet
from keel.potentials.networks.torchmd_et import TorchMDET
from keel.potentials.sum import SumPotential

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

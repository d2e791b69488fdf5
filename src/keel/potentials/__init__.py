"""Every potential: a batch of structures in, energy, forces and stress out.

Importing this package registers the built-in classes, so that :func:`keel.load` can rebuild them by name.
"""

from keel.potentials.base import Potential, Prediction
from keel.potentials.cgcnn import CGCNN
from keel.potentials.eam import EAM
from keel.potentials.files import load, save
from keel.potentials.lennard_jones import LennardJones
from keel.potentials.pair import PairPotential
from keel.potentials.sum import SumPotential
from keel.potentials.zbl import ZBL

__all__ = [
    "CGCNN",
    "EAM",
    "ZBL",
    "LennardJones",
    "PairPotential",
    "Potential",
    "Prediction",
    "SumPotential",
    "load",
    "save",
]

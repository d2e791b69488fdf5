"""Every potential: a batch of structures in, energy, forces and stress out.

A line here makes a class known: files, configurations, commands and messages find it by its name
(:attr:`Potential.registry`). :func:`load` reads a file of keel, :func:`open_potential` whatever is a potential.
"""

from keel.lazy import find_submodules
from keel.potentials.base import Potential as Potential
from keel.potentials.base import Prediction as Prediction
from keel.potentials.classical.contact_repulsion import ContactRepulsion as ContactRepulsion
from keel.potentials.classical.eam import EAM as EAM
from keel.potentials.classical.lennard_jones import LennardJones as LennardJones
from keel.potentials.classical.pair import PairPotential as PairPotential
from keel.potentials.classical.three_body import ThreeBody as ThreeBody
from keel.potentials.classical.zbl import ZBL as ZBL
from keel.potentials.external.ase import ASEPotential as ASEPotential
from keel.potentials.external.mace import MACE as MACE
from keel.potentials.external.matgl import MatglPotential as MatglPotential
from keel.potentials.external.opening import Opening as Opening
from keel.potentials.external.opening import open_potential as open_potential
from keel.potentials.external.torchmdnet import TorchMDNetPotential as TorchMDNetPotential
from keel.potentials.loading import load as load
from keel.potentials.networks.cgcnn import CGCNN as CGCNN
from keel.potentials.networks.clamped import ClampedNetwork as ClampedNetwork
from keel.potentials.networks.layered import Chain as Chain
from keel.potentials.networks.m3gnet import M3GNet as M3GNet
from keel.potentials.networks.network import Edges as Edges
from keel.potentials.networks.torchmd_et import TorchMDET as TorchMDET
from keel.potentials.sum import SumPotential as SumPotential

find_submodules(__name__)

"""Other people's models as potentials, each behind an optional extra.

Importing this package makes them known by name and imports none of the packages they come from.
"""

from keel.lazy import find_submodules
from keel.potentials.external.ase import ASEPotential
from keel.potentials.external.mace import MACE
from keel.potentials.external.matgl import MatglPotential
from keel.potentials.external.torchmdnet import TorchMDNetPotential
from keel.potentials.external.torchsim import TorchSimPotential

__all__ = ["MACE", "ASEPotential", "MatglPotential", "TorchMDNetPotential", "TorchSimPotential"]

find_submodules(__name__)

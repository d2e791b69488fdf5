"""Structures far beyond the data, made from it by random moves and labelled by a teacher."""

from keel.lazy import find_submodules
from keel.perturbation.frames import perturb
from keel.perturbation.labels import Counts
from keel.perturbation.settings import PerturbationSettings
from keel.perturbation.stream import PerturbationStream

__all__ = ["Counts", "PerturbationSettings", "PerturbationStream", "perturb"]

find_submodules(__name__)

"""Potentials of a few parameters in closed form."""

from keel.lazy import find_submodules

find_submodules(__name__)

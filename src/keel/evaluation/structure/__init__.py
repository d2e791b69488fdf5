"""Distances, angles, diffusion and density in molecular dynamics."""

from keel.lazy import find_submodules

find_submodules(__name__)

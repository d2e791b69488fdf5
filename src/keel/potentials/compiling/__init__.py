"""Potentials evaluated by compiled code."""

from keel.lazy import find_submodules

find_submodules(__name__)

"""Loops over pairs of atoms as machine code; imported where they are first used."""

from keel.lazy import find_submodules

find_submodules(__name__)

"""How long molecular dynamics holds, and what goes wrong in it."""

from keel.lazy import find_submodules

find_submodules(__name__)

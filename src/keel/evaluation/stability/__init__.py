"""How long molecular dynamics remains stable, and what goes wrong in it."""

from keel.lazy import find_submodules

find_submodules(__name__)

"""Graph networks and the functions they are made of."""

from keel.lazy import find_submodules

find_submodules(__name__)

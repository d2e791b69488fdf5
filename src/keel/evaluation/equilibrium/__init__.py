"""Properties of the crystal at rest."""

from keel.lazy import find_submodules

find_submodules(__name__)

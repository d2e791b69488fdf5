"""Properties of every potential: derivatives, symmetries, conservation, range."""

from keel.lazy import find_submodules

find_submodules(__name__)

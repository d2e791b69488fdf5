"""How far predictions are from labels: on the whole, and as atoms come close."""

from keel.lazy import find_submodules

find_submodules(__name__)

"""The page of a run."""

from keel.lazy import find_submodules

find_submodules(__name__)

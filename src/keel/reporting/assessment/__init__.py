"""The page of an assessment."""

from keel.lazy import find_submodules

find_submodules(__name__)

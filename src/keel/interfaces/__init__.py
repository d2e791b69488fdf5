"""Other programs' ways to use a potential."""

from keel.lazy import find_submodules

find_submodules(__name__)

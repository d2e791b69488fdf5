"""Two atoms, three, and bonds of molecules, against distance and angle."""

from keel.lazy import find_submodules

find_submodules(__name__)

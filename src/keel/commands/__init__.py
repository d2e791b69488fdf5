"""One command of the command line in each file."""

from keel.lazy import find_submodules

find_submodules(__name__)

"""Labels of a structure: under which names and in which units a file keeps them, and whether they are labels at all."""

from keel.lazy import find_submodules

find_submodules(__name__)

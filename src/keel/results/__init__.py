"""What a run or an assessment leaves on disk, written and read."""

from keel.lazy import find_submodules

find_submodules(__name__)

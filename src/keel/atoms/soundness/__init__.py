"""Whether structures and labels can be real: single frames, and many together."""

from keel.lazy import find_submodules

find_submodules(__name__)

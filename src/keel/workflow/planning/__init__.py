"""What comes before a run: a configuration made from the files, what it will do, and how long that takes."""

from keel.lazy import find_submodules

find_submodules(__name__)

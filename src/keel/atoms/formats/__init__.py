"""Formats of files with structures, a reader in each file; :mod:`keel.kinds` lists them."""

from keel.lazy import find_submodules

find_submodules(__name__)

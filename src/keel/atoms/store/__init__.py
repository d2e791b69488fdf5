"""Stores: folders of Arrow files that hold more frames than memory does."""

from keel.lazy import find_submodules

find_submodules(__name__)

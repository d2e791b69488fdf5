"""Stores: folders of Arrow files for more frames than fit into memory."""

from keel.lazy import find_submodules

find_submodules(__name__)

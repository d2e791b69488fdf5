"""What every page is made of: template, words, plots, films."""

from keel.lazy import find_submodules

find_submodules(__name__)

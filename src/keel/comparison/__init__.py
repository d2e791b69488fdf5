"""How sure is a difference: samples, lifetimes, intervals, and what two strategies or potentials did."""

from keel.lazy import find_submodules

find_submodules(__name__)

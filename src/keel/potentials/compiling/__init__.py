"""Potentials evaluated by compiled code."""

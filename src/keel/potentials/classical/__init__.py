"""Potentials of a few parameters in closed form."""

"""Distances, angles, diffusion and density in molecular dynamics."""

"""Rates of the simulation. Imports nothing, because the interpreter of SAPIEN 2 reads it too."""

PHYSICS_HZ = 513
SUBSTEPS = 171
"""Physics steps per control step of 1/3 s."""

"""Perturbations: one change of an episode at a time, each paired with the same episode without it (its control)."""

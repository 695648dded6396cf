"""Checks of an installation and their fixes (`nora-bench doctor`)."""

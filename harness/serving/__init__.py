"""A policy served to other processes and machines."""

"""Policies: the interface, the registry, and the policies that ship with nora-bench."""

"""Collecting demonstrations with a policy, and regenerating those of others."""

"""Training of policies and world models."""

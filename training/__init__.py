"""Training: the checkpoints under test."""

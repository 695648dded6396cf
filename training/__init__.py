"""Training: the checkpoints under test. Empty until the recipes land."""

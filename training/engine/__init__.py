"""The training loop: configuration, data loading, metrics, checkpoints."""

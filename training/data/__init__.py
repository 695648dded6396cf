"""Demonstrations on disk, images, action statistics and training examples."""

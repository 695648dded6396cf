"""Shared parts of every family's stand-in assets: meshes, images, and a place on disk."""

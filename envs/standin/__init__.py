"""What every family's stand-in assets are made with: meshes, images, and a place on disk."""

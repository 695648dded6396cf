"""What every family's stand-in assets are made with: meshes, pictures, and a place on disk."""

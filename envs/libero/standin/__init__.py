"""Stand-in assets for LIBERO: the official numbers for physics, our own looks."""

"""A line to walk home on."""

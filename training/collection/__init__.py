"""Collection and regeneration of demonstrations."""

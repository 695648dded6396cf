"""Episode records and their store, statistics, published numbers, tables."""

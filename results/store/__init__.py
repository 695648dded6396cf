"""A run's folder on disk: records, run.json, reading, writing, integrity."""

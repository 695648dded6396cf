"""A run in forms that other tools read: lines of JSON, Parquet, a LeRobot data set of its rollouts, an Inspect log.

Episodes that ended in errors leave as what they are: a row without success, a sample with an error; a data set of rollouts
does not hold them. Nothing is dropped silently.
"""

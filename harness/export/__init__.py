"""Exports of a run to other tools: JSON lines, Parquet, a LeRobot data set of its rollouts, an Inspect log.

Episodes that ended in errors are exported as errors: a row without success, a sample with an error; a data set of rollouts omits
them. Every omission is reported.
"""

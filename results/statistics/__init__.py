"""Intervals, paired tests, rankings, sequential tests and sample sizes."""

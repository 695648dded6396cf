"""Comparisons of runs: paired by initial state, ranked, planned, stopped early; methods of `results/statistics` on records."""

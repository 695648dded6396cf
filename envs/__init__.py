"""Suites: what an episode is, how its environment is built, stepped, observed and checked.

Nothing here imports another nora_bench package. `base` holds the contracts, `registry` finds suites,
`protocols` holds evaluation protocols as data, and each suite is a folder of its own.
"""

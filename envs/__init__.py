"""Suites: what an episode is, how its world is built, stepped, seen and judged.

Nothing here imports another nora_bench package. `base` holds the contracts, `registry` finds suites,
`protocols` holds evaluation protocols as data, and each suite is a folder of its own.
"""

"""How many inputs a reader gets: a fair sample, always the same, or `NORA_BENCH_FUZZ` many, other ones each time."""

import os

from hypothesis import HealthCheck, settings

from .reading import COUNTS

INPUTS = int(os.environ.get("NORA_BENCH_FUZZ", "0"))
COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}

settings.register_profile("sample", max_examples=80, derandomize=True, **COMMON)
settings.register_profile("full", max_examples=INPUTS or 1, print_blob=True, **COMMON)
settings.load_profile("full" if INPUTS else "sample")


def pytest_terminal_summary(terminalreporter):
    """The table of docs/reference/security.md, after a full run."""
    if not INPUTS:
        return
    terminalreporter.write_line("| reader | inputs | results | errors | slowest input (s) | time (s) |")
    terminalreporter.write_line("| --- | --- | --- | --- | --- | --- |")
    for reader, count in sorted(COUNTS.items()):
        numbers = f"{count.results + count.errors:,} | {count.results:,} | {count.errors:,}"
        terminalreporter.write_line(f"| {reader} | {numbers} | {count.slowest:.2f} | {count.seconds:.0f} |")

"""Seconds of `nora-bench --help` and of each verb's `--help`, whole process. Run: `python tests/benchmarks/bench_cli.py`."""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

from nora_bench.harness.cli import VERBS

LIMIT_S = 0.5
"""For `nora-bench --help`: median wall seconds."""
CODE = "import sys; from nora_bench.harness.cli import main; main(sys.argv[1:])"


def measure(arguments: list[str], repeats: int) -> dict[str, float]:
    """Median wall and CPU seconds of the command in a process of its own; the first, which fills disk caches, is left out."""
    wall, cpu = [], []
    for _ in range(repeats + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", CODE, *arguments], check=True, stdout=subprocess.DEVNULL)
        wall.append(time.perf_counter() - started)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"wall_s": round(statistics.median(wall[1:]), 3), "cpu_s": round(statistics.median(cpu[1:]), 3)}


def main() -> int:
    """Print the medians; 1 where `nora-bench --help` takes longer than the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {" ".join(words): measure(words, options.repeats) for words in [["--help"], *([verb, "--help"] for verb in VERBS)]}
    if options.json:
        print(json.dumps(found))
    else:
        for command, seconds in found.items():
            print(f"nora-bench {command:16} {seconds['wall_s']:.3f} s wall, {seconds['cpu_s']:.3f} s CPU")
    return int(found["--help"]["wall_s"] > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())

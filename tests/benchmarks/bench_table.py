"""Seconds of `nora-bench table` over 100,000 records, whole process. Run: `python tests/benchmarks/bench_table.py`."""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nora_bench.results.records import EpisodeRecord

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
LIMIT_S = 2.0


def record(number: int) -> EpisodeRecord:
    """A record as large as a real one (1.1 kB), all different."""
    suite, task, init, seed = SUITES[number % 4], number // 4 % 10, number // 40 % 50, number // 2000
    pose = [number / 7] * 7
    return EpisodeRecord(
        key=f"{suite}/task{task}/init{init}/seed{seed}@libero/openvla",
        suite=suite,
        task=f"pick_up_the_black_bowl_between_the_plate_and_the_ramekin_and_place_it_on_plate_{task}",
        task_id=task,
        instruction="pick up the black bowl between the plate and the ramekin and place it on the plate",
        init_state=init,
        seed=seed,
        protocol="libero/openvla",
        policy="nora",
        success=bool(number % 3),
        success_any=bool(number % 3),
        steps=number % 300,
        decisions=60,
        chunk_status={"ok": 60},
        termination="success" if number % 3 else "budget",
        assets={"pack": "official", "fingerprint": "0123456789abcdef"},
        seconds={"reset": 0.1234, "step": 1.2345, "render": 0.5, "policy": 0.25, "total": 2.1},
        actions=f"actions/{suite}-task{task}-init{init}-seed{seed}-libero-openvla-0123456789abcdef.npy",
        fixtures={"wooden_cabinet_1": tuple(pose), "flat_stove_1": tuple(pose)},
        trajectory_sha256=hashlib.sha256(str(number).encode()).hexdigest(),
        finished="2026-01-01T00:00:00+00:00",
    )


def write(folder: Path, episodes: int) -> None:
    """A run of that many episodes."""
    (folder / "run.json").write_text(json.dumps({"version": 1}))
    with (folder / "episodes.jsonl").open("w", encoding="utf-8") as handle:
        for number in range(episodes):
            handle.write(json.dumps(record(number).to_json(), separators=(",", ":")) + "\n")


def measure(command: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of one process."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the median of several runs; exit 1 above the limit."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--episodes", type=int, default=100_000)
    options.add_argument("--times", type=int, default=5)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), given.episodes)
        size = (Path(folder) / "episodes.jsonl").stat().st_size / 2**20
        command = [sys.executable, "-c", "from nora_bench.harness.cli import main; main()", "table", folder]
        walls, cpus = zip(*(measure(command) for _ in range(given.times)), strict=True)
    median = statistics.median(walls)
    print(f"nora-bench table, {given.episodes} records, {size:.0f} MiB, whole process, {given.times} times")
    print(f"  wall  median {median:.2f} s, best {min(walls):.2f} s (limit {LIMIT_S} s)")
    print(f"  cpu   median {statistics.median(cpus):.2f} s")
    sys.exit(median > LIMIT_S)


if __name__ == "__main__":
    main()

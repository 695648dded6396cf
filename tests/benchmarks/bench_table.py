"""Seconds of `nora-bench table`, `compare` and `report`, whole processes. Run: `python tests/benchmarks/bench_table.py`.

`table` reads 100,000 records, `compare` twice 50,000, `report` 6,000.
"""

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
from collections.abc import Sequence
from pathlib import Path

from nora_bench.results.store.records import EpisodeRecord

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")


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


def write(folder: Path, episodes: int, *, shift: int = 0) -> Path:
    """A run of that many episodes; `shift` changes who succeeds."""
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"version": 1}))
    with (folder / "episodes.jsonl").open("w", encoding="utf-8") as handle:
        for number in range(episodes):
            values = record(number).to_json()
            values["success"] = bool((number + shift) % 3)
            handle.write(json.dumps(values, separators=(",", ":")) + "\n")
    return folder


def measure(arguments: Sequence[object]) -> tuple[float, float]:
    """Wall and CPU seconds of one command."""
    command = [sys.executable, "-c", "from nora_bench.harness.cli import main; main()", *map(str, arguments)]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def show(name: str, limit_s: float, times: int, arguments: Sequence[object]) -> bool:
    """Print the medians of several runs; whether the wall time keeps its limit."""
    walls, cpus = zip(*(measure(arguments) for _ in range(times)), strict=True)
    median = statistics.median(walls)
    print(f"{name:34} wall {median:.2f} s (best {min(walls):.2f}, limit {limit_s:.0f}), CPU {statistics.median(cpus):.2f} s")
    return median <= limit_s


def main() -> None:
    """Print the table of times; exit 1 above a limit."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--times", type=int, default=5)
    times = options.parse_args().times
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        large = write(root / "large", 100_000)
        a, b = write(root / "a", 50_000), write(root / "b", 50_000, shift=1)
        small = write(root / "small", 6_000)
        print(f"records of {(large / 'episodes.jsonl').stat().st_size / 100_000 / 1000:.2f} kB; {times} times each, medians")
        kept = [
            show("table, 100,000 records", 2, times, ["table", large]),
            show("compare, 2 x 50,000 records", 2, times, ["compare", a, b]),
            show("report, 6,000 records", 30, times, ["report", small, "--out", root / "report.html"]),
        ]
    sys.exit(not all(kept))


if __name__ == "__main__":
    main()

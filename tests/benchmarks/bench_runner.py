"""Decisions per second of the runner: real worker processes, fake worlds, a policy that does nothing.

    python tests/benchmarks/bench_runner.py
    python tests/benchmarks/bench_runner.py --saturate

Everything (runner and workers) shares one core, so that a decision's whole price is paid there: two messages, one call
of the policy, one step of a world that only counts. The requirement is on CPU seconds of both sides together, which other
programs on the machine do not change; wall seconds are printed beside them.

`--saturate` asks how much one runner can do: it has a core of its own, and the workers, on another, have every message ready
(`canned_worker.py`). The achieved rate is what other programs on the machine left of both cores; the runner's CPU is not.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import fakes
import numpy as np
from nora_bench.envs.base import AssetPack, EnvOptions, EpisodeSpec, ObservationSpec
from nora_bench.harness.config import parse
from nora_bench.harness.execution.ledger import EpisodeLedger
from nora_bench.harness.execution.local import LocalExecutor
from nora_bench.harness.execution.policy_host import LocalPolicyHost
from nora_bench.harness.execution.progress import Progress, ProgressCounts, SuiteCounts
from nora_bench.harness.planning.plan import EvalSetup, Plan
from nora_bench.harness.planning.resolve import ResolvedRun
from nora_bench.harness.planning.run_settings import WorkerSetup
from nora_bench.policies.base import ActionChunk, BasePolicy
from nora_bench.results.store.run_metadata import RunMetadata
from nora_bench.results.store.writer import Store
from rich.console import Console

STEPS = 500
"""Decisions per episode."""
REQUIRED = 2000
"""Decisions per second on one core."""
WANTED = 5000
"""Decisions per second of one runner on a core of its own."""
CANNED = Path(__file__).parent / "canned_worker.py"
RUNNER_CORE, WORKERS_CORE = 0, 1


class Idle(BasePolicy):
    """Returns the same chunk for every observation."""

    chunk = ActionChunk(np.ones((1, 1)))

    def __init__(self, cameras: tuple[str, ...]) -> None:
        self.observation_spec = ObservationSpec(cameras=cameras)

    def act(self, observations):
        return [self.chunk] * len(observations)


def play(workers: int, decisions: int, cameras: tuple[str, ...], size: int, canned: bool = False) -> tuple[float, float, float]:
    """Seconds that a run of so many decisions takes: wall, CPU of the runner, CPU of the workers."""
    protocol = fakes.protocol(max_steps={"toy": STEPS}, image_size=size)
    episodes = [EpisodeSpec("toy", i % 3, i, 0, protocol.name) for i in range(decisions // STEPS)]
    policy = Idle(cameras)
    with tempfile.TemporaryDirectory() as folder, Store.create(Path(folder) / "run", RunMetadata()) as store:
        (store.folder / "logs").mkdir()
        python = canned_python(Path(folder)) if canned else sys.executable
        config = parse({"suite": "fakes:toy", "policy": "zero", "timeout": 60, "retries": 0, "policy_check": False})
        setup = EvalSetup((fakes.toy,), ("fakes:toy",), protocol)
        resolved = ResolvedRun(config, setup, policy, Plan(tuple(episodes), 0), AssetPack("", "", ""), workers)
        host = LocalPolicyHost(policy, store.folder / "logs" / "policy.log")
        worker_setup = WorkerSetup("fakes:toy", EnvOptions("", "none", folder), protocol, policy.observation_spec, python)
        progress = Progress(ProgressCounts({"toy": SuiteCounts(len(episodes))}), Console())
        on_ready = (lambda versions: os.sched_setaffinity(0, {RUNNER_CORE}) or "") if canned else (lambda versions: "")
        ledger = EpisodeLedger(resolved, host, store, progress, on_ready)
        before = _seconds()
        LocalExecutor(worker_setup, host).run(ledger)
        after = _seconds()
        assert sum(record.decisions for record in store.records()) == decisions
    return tuple(b - a for a, b in zip(before, after, strict=True))  # type: ignore[return-value]


def canned_python(folder: Path) -> str:
    """An interpreter that knows no worker but the canned one."""
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{CANNED}" "$@"\n')
    script.chmod(0o755)
    return str(script)


def _seconds() -> tuple[float, float, float]:
    ours, theirs = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter(), ours.ru_utime + ours.ru_stime, theirs.ru_utime + theirs.ru_stime


def measure(
    workers: int, decisions: int, cameras: tuple[str, ...] = (), size: int = 8, canned: bool = False
) -> tuple[float, float, float]:
    """Seconds per decision: wall, runner CPU, workers' CPU. Of two runs' difference, so that starting workers does not count."""
    short, long = (play(workers, n, cameras, size, canned) for n in (decisions // 3, decisions))
    counted = decisions - decisions // 3
    return tuple((b - a) / counted for a, b in zip(short, long, strict=True))  # type: ignore[return-value]


def main() -> int:
    """Print a table; 1 where it falls short."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=30_000)
    parser.add_argument("--saturate", action="store_true", help="a core for the runner, another for workers that cost nothing")
    asked = parser.parse_args()
    return saturate(asked.decisions) if asked.saturate else share_a_core(asked.decisions)


def saturate(decisions: int) -> int:
    """Print what one runner dispatches; 1 where its CPU allows less than is wanted."""
    print(f"{'workers':>8} {'achieved per s':>15} {'runner CPU us':>14} {'alone per s':>12}")
    rates = []
    os.sched_setaffinity(0, {WORKERS_CORE})  # workers inherit it; the runner moves when the first of them stands
    play(1, STEPS, (), 8, canned=True)  # imports
    for workers in (4, 16):
        os.sched_setaffinity(0, {WORKERS_CORE})
        wall, runner, _ = measure(workers, decisions, canned=True)
        rates.append(1 / runner)
        print(f"{workers:>8} {1 / wall:>15,.0f} {1e6 * runner:>14.0f} {rates[-1]:>12,.0f}")
    print(f"a runner's core is enough for at least {min(rates):,.0f} decisions per second; {WANTED:,} are wanted")
    return int(min(rates) < WANTED)


def share_a_core(decisions: int) -> int:
    """Print what runner and workers make of one core; 1 where the requirement is missed."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"{'workers':>8} {'shown':>22} {'per CPU s':>10} {'per wall s':>11} {'runner CPU us':>14} {'workers CPU us':>15}")
    rates = []
    for workers, cameras, size in ((1, (), 0), (4, (), 0), (16, (), 0), (4, ("primary", "wrist"), 256)):
        wall, runner, theirs = measure(workers, decisions, cameras, size)
        shown = f"{len(cameras)} pictures of {size} px" if cameras else "no picture"
        rates.append(1 / (runner + theirs))
        print(f"{workers:>8} {shown:>22} {rates[-1]:>10,.0f} {1 / wall:>11,.0f} {1e6 * runner:>14.0f} {1e6 * theirs:>15.0f}")
    slowest = min(rates[:3])
    print(f"without pictures at least {slowest:,.0f} decisions per second of one core; {REQUIRED:,} are required")
    return int(slowest < REQUIRED)


if __name__ == "__main__":
    sys.exit(main())

"""Soak test for leaks: short episodes for a long time.

    python -m tests.faults.soak --minutes 60                # LIBERO, with images
    python -m tests.faults.soak --minutes 60 --scenario toy
    python -m tests.faults.soak --minutes 60 --tasks 0      # without a change of task; else there is one before every episode

Every few seconds: memory, open files, threads and sockets of the runner and its workers, their number, shared memory, and the
GL contexts that are open. A slope is that of a straight line through the means of equal parts of the time, the first fifth
(models, caches) left out; its interval is Student's.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import fakes
import numpy as np
import psutil
from nora_bench.envs import suites
from nora_bench.envs.base import Env, EnvOptions
from nora_bench.harness.planning.schedule import Schedule
from nora_bench.results.store.reader import read_run

from faults import orders
from faults.breaking_suites import BreakingSuite
from faults.sessions import Session, relatives

WARM = 0.2
"""Share of the time that is left out of slopes."""
PARTS = 12


@dataclass(frozen=True)
class Watched(BreakingSuite):
    """A suite that counts the open GL contexts."""

    def _open(self, options: EnvOptions) -> Env:
        env = super()._open(options)
        if options.gl in ("egl", "osmesa"):
            _count_contexts()
        return env


def _count_contexts() -> None:
    import mujoco

    note = Path(os.environ[orders.FOLDER]) / f"contexts-{os.getpid()}"
    make, free, open_now = mujoco.GLContext.__init__, mujoco.GLContext.free, set[int]()

    def made(self: Any, *args: Any) -> None:
        make(self, *args)
        open_now.add(id(self))
        note.write_text(str(len(open_now)))

    def freed(self: Any) -> None:
        free(self)
        open_now.discard(id(self))
        note.write_text(str(len(open_now)))

    mujoco.GLContext.__init__, mujoco.GLContext.free = made, freed


libero_goal = Watched(suites.get("libero_goal"))
toy = Watched(fakes.ToySuite("toy_seeded", seeded=True))
COMMANDS = {
    "LIBERO": "--suite faults.soak:libero_goal --max-steps 4 --init-states 0-3 --seeds 500 --policy faults.soak:RandomMover",
    "toy": "--suite faults.soak:toy --seeds 5000 --policy fakes:Stagger",
}


def _change_tasks_always() -> None:
    """A worker otherwise keeps its task; here the next episode is of the task with most episodes left."""
    choose = Schedule.next

    def after_leaving(self: Schedule, worker: int) -> Any:
        self._at.pop(worker, None)
        return choose(self, worker)

    Schedule.next = after_leaving


class RandomMover(fakes.BasePolicy):
    """Uses both cameras at every fourth step and moves at random."""

    observation_spec = fakes.ObservationSpec(cameras=("primary", "wrist"))
    stochastic = True

    def act_one(self, observation: fakes.Observation) -> fakes.ActionChunk:
        return fakes.ActionChunk(observation.rng().uniform(-1, 1, (4, 7)))


def sample(runner: psutil.Process, folder: Path) -> dict[str, float]:
    """Current resource use."""
    workers = runner.children()
    return {
        "runner: memory (MiB)": runner.memory_info().rss / 2**20,
        "runner: open files": runner.num_fds(),
        "runner: sockets": _sockets(runner),
        "runner: threads": runner.num_threads(),
        "workers": len(workers),
        "worker: memory (MiB)": max((worker.memory_info().rss / 2**20 for worker in workers), default=0),
        "worker: open files": max((worker.num_fds() for worker in workers), default=0),
        "worker: threads": max((worker.num_threads() for worker in workers), default=0),
        "GL contexts open": sum(int(path.read_text() or 0) for path in folder.glob("contexts-*")),
        "shared memory (files)": len([*Path("/dev/shm").iterdir()]),
        "episodes": _lines(folder / "run" / "episodes.jsonl"),
    }


def _sockets(process: psutil.Process) -> int:
    folder = Path(f"/proc/{process.pid}/fd")
    return sum(str(path.readlink()).startswith("socket:") for path in folder.iterdir() if path.is_symlink())


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def slope(hours: np.ndarray, values: np.ndarray) -> tuple[float, float, float]:
    """Growth per hour with its 95 % interval."""
    from scipy import stats

    late = hours > hours[0] + WARM * (hours[-1] - hours[0])
    x = np.array([part.mean() for part in np.array_split(hours[late], PARTS)])
    y = np.array([part.mean() for part in np.array_split(values[late], PARTS)])
    if np.ptp(y) == 0:
        return 0.0, 0.0, 0.0
    found = stats.linregress(x, y)
    half = stats.t.ppf(0.975, PARTS - 2) * found.stderr
    return found.slope, found.slope - half, found.slope + half


def soak(folder: Path, args: argparse.Namespace) -> list[dict[str, float]]:
    """Samples of a run that is stopped when the time is over."""
    options = f"--tasks {args.tasks} --workers {args.workers} --out {folder / 'run'}"
    started = time.monotonic()
    session = Session(folder, ["run", *COMMANDS[args.scenario].split(), *options.split()], _change_tasks_always)
    runner, samples = psutil.Process(session.pid), []
    while time.monotonic() < started + 60 * args.minutes:
        time.sleep(args.every)
        assert runner.status() != psutil.STATUS_ZOMBIE, f"the run ended early: {session.wait().said}"
        try:
            samples.append({"hours": (time.monotonic() - started) / 3600, **sample(runner, folder)})
        except psutil.NoSuchProcess:  # a worker that has just gone
            continue
        if args.samples:
            with args.samples.open("a") as file:
                print(json.dumps(samples[-1]), file=file)
    os.kill(session.pid, signal.SIGINT)
    ended = session.wait()
    assert ended.code == 130, ended.said
    assert not (left := relatives(folder)), f"processes left behind: {left}"
    assert not (errors := [one for one in read_run(folder / "run").records if one.success is None]), errors
    return samples


def table(samples: list[Mapping[str, float]]) -> list[str]:
    """Measurements as table rows."""
    hours = np.array([one["hours"] for one in samples])
    lines = ["| measured | first | last | largest | growth per hour, 95 % interval |", "| --- | --- | --- | --- | --- |"]
    for name in [name for name in samples[0] if name != "hours"]:
        values = np.array([one[name] for one in samples])
        grown, low, high = slope(hours, values)
        lines.append(
            f"| {name} | {values[0]:,.1f} | {values[-1]:,.1f} | {values.max():,.1f} | {grown:+,.1f} [{low:+,.1f}, {high:+,.1f}] |"
        )
    return lines


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--scenario", dest="scenario", choices=[*COMMANDS], default="LIBERO")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--every", type=float, default=5, help="seconds between samples")
    parser.add_argument("--tasks", default="0-2", help="more than one: another one for every episode")
    parser.add_argument("--samples", type=Path, help="a file for the samples, a line of JSON each")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        print(*table(soak(Path(folder).resolve(), args)), sep="\n")


if __name__ == "__main__":
    main()

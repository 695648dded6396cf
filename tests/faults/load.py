"""Load test: latency of many environments with random delays, a tenth of whose episodes break.

    python -m tests.faults.load --envs 64 --seconds 600

An environment records the seconds between an observation and its first action. No environment starves if the longest such wait
is short and every environment gets its share.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import fakes
import numpy as np
from nora_bench.envs.base import Env, EnvObservation, EnvOptions, EpisodeSpec, EvalProtocol, ObservationSpec, Reset, Task
from nora_bench.policies.base import ActionChunk, BasePolicy, Observation
from nora_bench.results.store.reader import read_run

from faults import orders
from faults.sessions import Session, relatives

DELAY_S = 0.2
"""Mean of a step's random delay (exponential)."""
BREAKS = 0.1
"""Share of episodes that break once."""
DEEDS = ("kill", "exit", "raise", "hang", "segfault", "stop")
STATES = 100_000


class Busy(fakes.ToyEnv):
    """A toy with random delays and failures that records its waits."""

    def __init__(self) -> None:
        super().__init__(None)
        self._folder = Path(os.environ[orders.FOLDER])
        self._notes = (self._folder / f"waits-{os.getpid()}.txt").open("a")
        self._shown = 0.0

    def reset(self, spec: EpisodeSpec, protocol: EvalProtocol, observation_spec: ObservationSpec) -> Reset:
        self._delays = np.random.default_rng(spec.entropy("delays"))
        breaks = self._delays.uniform() < BREAKS and not (self._folder / f"broke-{spec.scene.replace('/', '-')}").exists()
        self._breaks_at = int(self._delays.integers(1, 4)) if breaks else 0
        self._deed, self._steps = str(self._delays.choice(DEEDS)), 0
        return super().reset(spec, protocol, observation_spec)

    def observation(self) -> EnvObservation:
        self._shown = time.monotonic()
        return super().observation()

    def step(self, action: np.ndarray, *, observe: bool) -> bool:
        self._notes.write(f"{time.monotonic():.4f} {time.monotonic() - self._shown:.6f}\n")
        self._steps += 1
        if self._steps == self._breaks_at:
            self._notes.flush()
            (self._folder / f"broke-{self.spec.scene.replace('/', '-')}").touch()
            orders.DEEDS[self._deed]()
        time.sleep(min(2.0, self._delays.exponential(DELAY_S)))
        return super().step(action, observe=observe)

    def close(self) -> None:
        self._notes.close()


@dataclass(frozen=True)
class BusySuite(fakes.ToySuite):
    """A suite with practically unlimited episodes."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        return (Task(0, "go_home", "go home", init_states=STATES, seeded=False),)

    def make_env(self, options: EnvOptions) -> Env:
        return Busy()


class Thinker(BasePolicy):
    """Takes five milliseconds per batch of any size, like a model on a GPU."""

    observation_spec = ObservationSpec(proprio=True)

    def act(self, observations: list[Observation]) -> list[ActionChunk]:
        time.sleep(0.005)
        return [ActionChunk(-np.sign(one.env_observation.proprio["position"])[None]) for one in observations]


busy = BusySuite("toy")


def measure(folder: Path, envs: int, episodes: int, seconds: float | None = None) -> Mapping[str, float]:
    """Measurements of a run of that many episodes, stopped after `seconds` if given."""
    command = ["run", "--suite", "faults.load:busy", "--policy", "faults.load:Thinker", "--workers", str(envs)]
    started = time.monotonic()
    session = Session(folder, [*command, "--episodes", str(episodes), "--out", str(folder / "run"), "--retries", "5"])
    if seconds is not None:
        time.sleep(seconds)
        os.kill(session.pid, signal.SIGINT)
    ended = session.wait()
    wall = time.monotonic() - started
    assert ended.code == (0 if seconds is None else 130), ended.said
    records = read_run(folder / "run").records
    notes = [np.loadtxt(path, ndmin=2) for path in folder.glob("waits-*.txt") if path.stat().st_size]
    waits = np.concatenate([note[:, 1] for note in notes])
    return {
        "environments": envs,
        "seconds": round(wall),
        "episodes": len(records),
        "errors": sum(record.success is None for record in records),
        "episodes that broke": len([*folder.glob("broke-*")]),
        "retried": sum(record.attempts > 1 for record in records),
        "decisions": len(waits),
        "decisions per second": round(len(waits) / wall, 1),
        **{f"wait, {name} (ms)": round(1000 * float(np.quantile(waits, q)), 1) for name, q in QUANTILES.items()},
        "longest wait of an environment (s)": round(float(waits.max()), 3),
        "processes left": len(relatives(folder)),
    }


QUANTILES = {"median": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.load", description=__doc__.splitlines()[0])
    parser.add_argument("--envs", dest="envs", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--episodes", type=int, help="to their end, instead of --seconds")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        bounds = (args.episodes, None) if args.episodes else (STATES, args.seconds)
        for name, value in measure(Path(folder).resolve(), args.envs, *bounds).items():
            print(f"| {name} | {value:,} |")


if __name__ == "__main__":
    main()

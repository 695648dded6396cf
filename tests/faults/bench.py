"""A run for fault injection: its folder, its command, its records, and the reference run without faults."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import fakes
from nora_bench.envs.base import EpisodeSpec
from nora_bench.results.store.reader import EPISODES_FILE, RUN_FILE, read_run
from nora_bench.results.store.records import EpisodeRecord

from . import breaking_suites
from .sessions import Ended, Session

TIMES = ("seconds", "finished", "attempts", "policy_losses")
"""Fields of a record that may differ between two sessions."""
MAX_SESSIONS = 5
"""Sessions that an interrupted run may take to finish."""


@dataclass(frozen=True)
class Scenario:
    """A suite and a policy, and the steps at which faults can be injected."""

    name: str
    options: tuple[str, ...]
    scenes: tuple[str, ...]
    steps: tuple[int, ...]
    """Control steps that every episode has."""
    observed: tuple[int, ...]
    """Control steps after which every episode is rendered."""
    policy: str = "faults.policies:Walker"

    def command(self) -> list[str]:
        """Arguments of `nora-bench` that run it."""
        return ["run", "--policy", self.policy, *self.options]


def _scenes(suite: str, tasks: Sequence[int], states: int) -> tuple[str, ...]:
    return tuple(EpisodeSpec(suite, task, state, 0, "").scene for task in tasks for state in range(states))


TOY = Scenario(
    "toy",
    ("--suite", "faults.breaking_suites:toy", "--episodes", "2"),
    _scenes("toy", range(len(fakes.toy.tasks)), 2),
    steps=(1, 2, 3),
    observed=(0, 2),
)
REMOTE = replace(TOY, name="remote", policy="fakes:Walk")
"""The toy with a policy in another process; its reference run has the same policy in this process."""
LIBERO = Scenario(
    "LIBERO",
    ("--suite", "faults.breaking_suites:libero_goal", "--tasks", "0", "--episodes", "3", "--max-steps", "10"),
    _scenes("libero_goal", (0,), 3),
    steps=tuple(range(1, 11)),
    observed=(0, 5),
)


@dataclass
class Bench:
    """A folder with one run, for one fault."""

    folder: Path
    scenario: Scenario = TOY
    workers: int = 1
    more: tuple[str, ...] = ()
    """Further options."""
    quiet: Mapping[str, EpisodeRecord] = field(default_factory=dict)
    """Records of the reference run without a fault."""
    cleanup: ExitStack = field(default_factory=ExitStack)
    """Clean-up after the fault has been judged."""

    def __post_init__(self) -> None:
        (self.folder / "pack").mkdir(parents=True, exist_ok=True)
        (self.folder / "pack" / breaking_suites.MESH).write_text("0.25")

    @property
    def run(self) -> Path:
        """The run's folder."""
        return self.folder / "run"

    @property
    def episodes(self) -> Path:
        """Its episodes file."""
        return self.run / EPISODES_FILE

    def start(self, tamper: Callable[[], None] = lambda: None) -> Session:
        """Start the run, or resume it where it exists."""
        command = [*self.scenario.command(), *self.more]
        if (self.run / RUN_FILE).exists():
            command = ["run", "--resume"]
        return Session(self.folder, [*command, "--out", str(self.run), "--workers", str(self.workers)], tamper)

    def run_session(self, tamper: Callable[[], None] = lambda: None) -> Ended:
        """Run one session to its end."""
        return self.start(tamper).wait()

    def records(self) -> dict[str, EpisodeRecord]:
        """The records; empty where there is no run yet."""
        if not (self.run / RUN_FILE).exists():
            return {}
        return {record.key: record for record in read_run(self.run).records}

    def copy(self) -> None:
        """Copy the reference run."""
        shutil.copytree(self.folder.parent / f"quiet-{self.scenario.name}" / "run", self.run)

    def half(self, lines: int) -> None:
        """Copy the reference run as if it was killed after `lines` episodes."""
        self.copy()
        whole = self.episodes.read_bytes().splitlines(keepends=True)
        self.episodes.write_bytes(b"".join(whole[:lines]))
        for line in whole[lines:]:
            (self.run / json.loads(line)["actions"]).unlink()
        run = json.loads((self.run / RUN_FILE).read_text())
        counts = {**run["counts"], "done": 0}
        (self.run / RUN_FILE).write_text(json.dumps({**run, "status": "running", "counts": counts}, indent=2) + "\n")


def essence(record: EpisodeRecord) -> dict[str, Any]:
    """The part of a record that must be reproduced; without the conditions where the reference run had another policy."""
    other = ("conditions",) if "://" in record.policy else ()
    return {name: value for name, value in asdict(record).items() if name not in (*TIMES, *other)}


def quiet(folder: Path, scenario: Scenario = TOY) -> Mapping[str, EpisodeRecord]:
    """Records of a reference run of that scenario; kept in `folder` for `Bench.half`."""
    bench = Bench(folder / f"quiet-{scenario.name}", scenario)
    ended = bench.run_session()
    assert ended.code == 0, ended.said
    records = bench.records()
    assert {record.key.partition("@")[0] for record in records.values()} == set(scenario.scenes)
    return records

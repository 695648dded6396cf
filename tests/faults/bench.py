"""A run to be broken: its folder, its command, what is in it, and how it ends when nothing more breaks."""

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

from . import worlds
from .sessions import Ended, Session

TIMES = ("seconds", "finished", "attempts", "policy_losses")
"""Fields of a record that two sessions may differ in."""
PATIENCE = 5
"""Sessions that a broken run may take to its end."""


@dataclass(frozen=True)
class Env:
    """What is played, and where in it something can break."""

    name: str
    options: tuple[str, ...]
    scenes: tuple[str, ...]
    steps: tuple[int, ...]
    """Steps that every episode has."""
    looks: tuple[int, ...]
    """Steps after which every episode is looked at."""
    policy: str = "faults.policies:Walker"

    def command(self) -> list[str]:
        """Arguments of `nora-bench` that play it."""
        return ["run", "--policy", self.policy, *self.options]


def _scenes(suite: str, tasks: Sequence[int], states: int) -> tuple[str, ...]:
    return tuple(EpisodeSpec(suite, task, state, 0, "").scene for task in tasks for state in range(states))


TOY = Env(
    "toy",
    ("--suite", "faults.worlds:toy", "--episodes", "2"),
    _scenes("toy", range(len(fakes.toy.tasks)), 2),
    steps=(1, 2, 3),
    looks=(0, 2),
)
REMOTE = replace(TOY, name="remote", policy="fakes:Walk")
"""The toy, played by a policy in another process; quietly by the same one in this."""
LIBERO = Env(
    "LIBERO",
    ("--suite", "faults.worlds:libero_goal", "--tasks", "0", "--episodes", "3", "--max-steps", "10"),
    _scenes("libero_goal", (0,), 3),
    steps=tuple(range(1, 11)),
    looks=(0, 5),
)


@dataclass
class Bench:
    """A folder in which one run is played and broken."""

    folder: Path
    world: Env = TOY
    workers: int = 1
    more: tuple[str, ...] = ()
    """Further options."""
    quiet: Mapping[str, EpisodeRecord] = field(default_factory=dict)
    """Records of a run in which nothing broke."""
    cleanup: ExitStack = field(default_factory=ExitStack)
    """What is to be undone when the fault has been judged."""

    def __post_init__(self) -> None:
        (self.folder / "pack").mkdir(parents=True, exist_ok=True)
        (self.folder / "pack" / worlds.MESH).write_text("0.25")

    @property
    def run(self) -> Path:
        """The run's folder."""
        return self.folder / "run"

    @property
    def episodes(self) -> Path:
        """Its lines."""
        return self.run / EPISODES_FILE

    def start(self, tamper: Callable[[], None] = lambda: None) -> Session:
        """Begin the run, or go on with it where there is one."""
        command = [*self.world.command(), *self.more]
        if (self.run / RUN_FILE).exists():
            command = ["run", "--resume"]
        return Session(self.folder, [*command, "--out", str(self.run), "--workers", str(self.workers)], tamper)

    def play(self, tamper: Callable[[], None] = lambda: None) -> Ended:
        """A session, to its end."""
        return self.start(tamper).wait()

    def records(self) -> dict[str, EpisodeRecord]:
        """What is recorded; nothing where there is no run yet."""
        if not (self.run / RUN_FILE).exists():
            return {}
        return {record.key: record for record in read_run(self.run).records}

    def copy(self) -> None:
        """Make it the run in which nothing broke."""
        shutil.copytree(self.folder.parent / f"quiet-{self.world.name}" / "run", self.run)

    def half(self, lines: int) -> None:
        """Make it a run of which so many episodes are done and whose runner was killed."""
        self.copy()
        whole = self.episodes.read_bytes().splitlines(keepends=True)
        self.episodes.write_bytes(b"".join(whole[:lines]))
        for line in whole[lines:]:
            (self.run / json.loads(line)["actions"]).unlink()
        run = json.loads((self.run / RUN_FILE).read_text())
        counts = {**run["counts"], "done": 0}
        (self.run / RUN_FILE).write_text(json.dumps({**run, "status": "running", "counts": counts}, indent=2) + "\n")


def essence(record: EpisodeRecord) -> dict[str, Any]:
    """What of a record belongs to the result; not its conditions where the quiet run was played by another policy."""
    other = ("conditions",) if "://" in record.policy else ()
    return {name: value for name, value in asdict(record).items() if name not in (*TIMES, *other)}


def quiet(folder: Path, world: Env = TOY) -> Mapping[str, EpisodeRecord]:
    """Records of a run of that world in which nothing breaks; kept in `folder` for `Bench.half`."""
    bench = Bench(folder / f"quiet-{world.name}", world)
    ended = bench.play()
    assert ended.code == 0, ended.said
    found = bench.records()
    assert {record.key.partition("@")[0] for record in found.values()} == set(world.scenes)
    return found

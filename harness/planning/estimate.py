"""Cost of a run before it starts: upper bounds from the plan and the suite's own figures.

A suite says in an optional attribute `cost` what things take on one core: `step_s`, `image_s`, `reset_s`, `build_s`
(seconds per control step, image, reset, task model; all or none) and `worker_gib`; `picture_s` is the former name of `image_s`.
The policy's own time is not known and not counted.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from ...envs.base import Suite
from ...envs.errors import MissingRequirementError
from ...envs.paths import nearest_folder
from ...policies.base import Policy
from ..config import AUTO
from .plan import EvalSetup, Plan
from .provenance import duration, usable_cores
from .schedule import model_of

RESERVE_GIB = 2.0
"""Memory that `--workers auto` leaves to the main process and the rest of the machine."""
WORKER_GIB = 1.0
"""Memory of a worker whose suite declares none."""
RECORD_BYTES = 7000
"""Size of one line in episodes.jsonl, and of the header and the unused disk block of its action file, rounded up."""
ACTION_BYTES = 64
"""Size of one control step in an action file: at most eight numbers."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Upper bounds: every episode runs to the end of its budget."""

    episodes: Mapping[str, int]
    """Suite -> episodes."""
    repeated: int
    steps: int
    """Control steps, settling included."""
    decisions: int
    workers: int
    hours: float | None
    """Without the policy's own time; None where the suite gives no figures."""
    memory_gib: float
    free_memory_gib: float
    disk_gib: float
    free_disk_gib: float
    source: str
    """Source of the figures."""

    def lines(self) -> list[tuple[str, str]]:
        """Human-readable rows (name, value)."""
        hours = f"at most {duration(3600 * self.hours)} without the policy's own time" if self.hours is not None else "unknown"
        return [
            ("episodes", ", ".join(f"{suite} {count}" for suite, count in self.episodes.items())),
            ("control steps", f"at most {self.steps:,}, settling included"),
            ("decisions", f"at most {self.decisions:,}"),
            ("time", f"{hours} ({self.workers} workers)"),
            ("memory", f"{self.memory_gib:.1f} GiB for the workers, {self.free_memory_gib:.1f} GiB free"),
            ("disk", f"at most {self.disk_gib:.3f} GiB, {self.free_disk_gib:.1f} GiB free"),
            ("estimated from", self.source),
        ]


def free_memory_gib() -> float:
    """Memory available now."""
    return psutil.virtual_memory().available / 2**30


def worker_gib(suite: Suite) -> float:
    """Memory of one worker of the suite."""
    return float(suite.cost.get("worker_gib", WORKER_GIB))


def choose_workers(workers: int | str, suite: Suite, episodes: int) -> int:
    """The configured number; for `auto` one per usable core, limited by free memory. Never more than episodes."""
    if workers == AUTO:
        workers = min(usable_cores(), max(1, int((free_memory_gib() - RESERVE_GIB) / worker_gib(suite))))
    return max(1, min(int(workers), episodes))


def estimate(plan: Plan, setup: EvalSetup, policy: Policy, workers: int, max_steps: int | None, folder: Path) -> Estimate:
    """Upper bounds of a plan's cost on this machine."""
    budgets = [max_steps or setup.steps(spec) for spec in plan.episodes]
    limits = (setup.protocol.replan_steps, policy.n_action_steps)
    chunk = min(filter(None, limits), default=policy.chunk_size)
    decisions = [math.ceil(budget / chunk) for budget in budgets]
    steps = sum(budgets) + (setup.protocol.settle_steps + sum(setup.protocol.perturbation.values())) * len(budgets)
    suites = [spec.suite for spec in plan.episodes]
    cost = setup.suites[0].cost
    images = sum(decisions) * len(policy.observation_spec.cameras)
    builds = len({model_of(spec) for spec in plan.episodes})
    return Estimate(
        episodes={suite.name: suites.count(suite.name) for suite in setup.suites},
        repeated=plan.repeated,
        steps=steps,
        decisions=sum(decisions),
        workers=workers,
        hours=_hours(cost, steps, images, len(budgets), builds, min(workers, usable_cores())) if "step_s" in cost else None,
        memory_gib=workers * worker_gib(setup.suites[0]),
        free_memory_gib=free_memory_gib(),
        disk_gib=(len(budgets) * RECORD_BYTES + sum(budgets) * ACTION_BYTES) / 2**30,
        free_disk_gib=free_disk_gib(folder),
        source=_source(setup.suites[0], cost),
    )


def _hours(cost: Mapping[str, float], steps: int, images: int, episodes: int, builds: int, cores: int) -> float:
    image_s = cost["image_s"] if "image_s" in cost else cost["picture_s"]
    seconds = steps * cost["step_s"] + images * image_s + episodes * cost["reset_s"] + builds * cost["build_s"]
    return seconds / cores / 3600


def _source(suite: Suite, cost: Mapping[str, float]) -> str:
    if "step_s" not in cost:
        return f"{suite.name} declares no cost of time"
    return f"figures of {suite.family} for one core: " + ", ".join(f"{name} {value:g}" for name, value in cost.items())


def free_disk_gib(folder: Path) -> float:
    """Free space on the disk of the folder, which need not exist yet."""
    return shutil.disk_usage(nearest_folder(folder)).free / 2**30


def require_room(estimate: Estimate) -> None:
    """Raises MissingRequirementError where the run may not fit on the disk."""
    if estimate.disk_gib > estimate.free_disk_gib:
        raise MissingRequirementError(
            f"the run may write {estimate.disk_gib:.2f} GiB and the disk has {estimate.free_disk_gib:.2f} GiB left; "
            "free some, or choose another disk with --out"
        )

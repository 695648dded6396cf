"""What is kept of a run: one `EpisodeRecord` per finished episode, one `run.json` per run.

The format is versioned, documented in docs/reference/records.md and frozen by a test. It is plain JSON: reading it
needs none of our code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from ...envs.base import EpisodeSpec

VERSION = 1
"""Of the record format; readers accept every older one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeRecord:
    """One finished episode, one line of `episodes.jsonl`."""

    version: int = VERSION
    """Record format."""
    key: str
    """The episode's identity (`suite/task/init/seed@protocol`); unique within a run."""
    suite: str
    task: str
    """Task name as the benchmark spells it."""
    task_id: int
    variant: str = ""
    """Configuration within the task, `look` or `look/part`; empty for a task that has only one."""
    instruction: str
    """As the policy was told."""
    init_state: int
    seed: int
    protocol: str
    policy: str
    """Name the policy was run under."""
    success: bool | None
    """Whether the protocol's success rule held; null for an episode that ended in an error."""
    success_any: bool | None = None
    """Whether the goal held after any step at all."""
    measures: Mapping[str, bool] = field(default_factory=dict)
    """Other yes-or-no outcomes, e.g. `partial` (the right object was grasped) and `distractor` (a wrong one was)."""
    steps: int
    """Control steps executed, settling excluded."""
    decisions: int
    """Times the policy was asked."""
    chunk_status: Mapping[str, int] = field(default_factory=dict)
    """Decisions by chunk status (`ok`, `malformed`, ...)."""
    action_checks: Mapping[str, float] = field(default_factory=dict)
    """What the executed actions look like, where the suite says what they mean (`results.action_checks`): `outside`, share of
    numbers outside its bounds; `translation_mean`, the mean of the displacement's component whose mean is furthest from 0, and
    `translation_spread`, that component's standard deviation; `gripper_negative` and `gripper_positive`, share of steps that
    open and close."""
    termination: str
    """`success`, `budget` or `error`."""
    error: str | None = None
    """Phase and cause, where the termination is `error`; such an episode is in no success rate."""
    cause: str = ""
    """Who an error is due to: `policy` (it kept losing the episode) or `machine`; empty for an episode without an error."""
    attempts: int = 1
    """Times the episode was started (more than one after a worker was lost, or where a session ended while it was played)."""
    policy_losses: int = 0
    """Times the policy itself lost the episode before it ended: it raised EpisodeStateLost, timed out, ended the run,
    or its server was gone."""
    assets: Mapping[str, str] = field(default_factory=dict)
    """`pack` and `fingerprint` of meshes and textures."""
    backend: str = ""
    """What played it, for suites that can be played by several simulators: `sapien3` or `upstream`."""
    renderer: str = ""
    """How its pictures were made, for suites that ask for more than one way: `raster`, `raytraced`, or `raster instead of
    raytraced` where the device has no ray tracing. Empty where the policy looked at none."""
    conditions: str = ""
    """Digest of everything that can change results where it was played (`conditions` of a session in `run.json`); records of
    one run that differ in it were played under different ones."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall seconds in `reset`, `step`, `render`, `policy`, `total`."""
    actions: str | None = None
    """Path, inside the run's folder, of the executed actions: `.npy`, float64 [steps, action size]."""
    actions_sha256: str | None = None
    """SHA-256 over the executed actions as float64 little-endian, row by row."""
    fixtures: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Fixture -> x y z, qw qx qy qz drawn at reset (world frame, m)."""
    warnings: tuple[str, ...] = ()
    """Premises that held only barely."""
    trajectory_sha256: str | None = None
    """SHA-256 over the float64 little-endian simulator states: after the initial state is set, after each settling
    step, after each control step."""
    origin: str = ""
    """In a merged run, the name of the run that it comes from."""
    finished: str = ""
    """UTC time of the end, ISO 8601. Not part of the result."""

    @property
    def spec(self) -> EpisodeSpec:
        """The episode, as it was planned."""
        return EpisodeSpec(self.suite, self.task_id, self.init_state, self.seed, self.protocol, self.variant)

    @property
    def look(self) -> str:
        """What its variant changes about the scene's appearance; episodes of one part that differ in it alone are alike."""
        return self.variant.partition("/")[0]

    @property
    def part(self) -> str:
        """The part of the task that its variant belongs to; empty for a task that has no parts."""
        return self.variant.partition("/")[2]

    def to_json(self) -> dict[str, Any]:
        """JSON-able, in field order."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> EpisodeRecord:
        """From one parsed line. Unknown fields (of a newer format) are dropped; missing or mistyped ones raise ValueError."""
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"not an episode record: {error}") from None

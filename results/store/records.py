"""Record of a finished episode, one line of `episodes.jsonl`.

The format is versioned, documented in docs/reference/records.md and frozen by a test. It is plain JSON, readable without
nora-bench.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from ...envs.base import EpisodeSpec

VERSION = 1
"""Version of the record format; readers accept every older one."""
UNKEYED = "unkeyed"
"""Start of the set of initial states (`init_set`) of imported episodes whose initial state is not known."""
CAUSES = {"policy": "policy", "machine": "simulator or machine"}
"""Cause of an error, as recorded -> its name for readers."""


def now() -> str:
    """UTC time, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeRecord:
    """One finished episode, one line of `episodes.jsonl`."""

    version: int = VERSION
    """Record format."""
    key: str
    """The episode's identity (`suite/task/init/seed@protocol`, `seed+perturbation`); unique within a run."""
    suite: str
    task: str
    """Task name in the benchmark's spelling."""
    task_id: int
    variant: str = ""
    """Configuration within the task, `appearance` or `appearance/part`; empty for a task that has only one."""
    instruction: str
    """Instruction as the policy received it."""
    init_state: int
    init_set: str = ""
    """Set that the initial state is from: empty for the published one, `fresh` for states that no published evaluation used;
    `unkeyed-` and the start of the file's digest for imported episodes whose initial state is not known."""
    seed: int
    perturbation: str = ""
    """Name of the one change against the episode's control (`nora-bench list perturbations`); empty for none."""
    protocol: str
    policy: str
    """Name of the policy."""
    success: bool | None
    """Whether the protocol's success rule held; null for an episode that ended in an error."""
    success_any: bool | None = None
    """Whether the goal held after any step at all."""
    measures: Mapping[str, bool] = field(default_factory=dict)
    """Other yes-or-no outcomes, e.g. `partial` (the right object was grasped) and `distractor` (a wrong one was)."""
    steps: int
    """Control steps executed, settling excluded."""
    decisions: int
    """Number of policy queries."""
    chunk_status: Mapping[str, int] = field(default_factory=dict)
    """Decisions by chunk status (`ok`, `malformed`, ...)."""
    action_checks: Mapping[str, float] = field(default_factory=dict)
    """Statistics of the executed actions, where the suite declares their meaning (`results.action_checks`): `outside`, share of
    numbers outside its bounds; `translation_mean`, the mean of the displacement's component whose mean is furthest from 0, and
    `translation_spread`, that component's standard deviation; `gripper_negative` and `gripper_positive`, share of steps that
    open and close."""
    termination: str
    """`success`, `budget` or `error`."""
    error: str | None = None
    """Phase and cause, where the termination is `error`; such an episode is in no success rate."""
    cause: str = ""
    """Cause of an error: `policy` (it kept losing the episode) or `machine`; empty without an error."""
    attempts: int = 1
    """Starts of the episode (more than one after a lost worker, or a session that ended during the episode)."""
    policy_losses: int = 0
    """Times the policy itself lost the episode before it ended: it raised EpisodeStateLost, timed out, ended the run,
    or its server was unreachable."""
    assets: Mapping[str, str] = field(default_factory=dict)
    """`pack` and `fingerprint` of meshes and textures."""
    backend: str = ""
    """Simulator backend, for suites with several: `sapien2`, `sapien3` or `upstream`."""
    renderer: str = ""
    """Renderer of the images, for suites with several: `raster`, `raytraced`, or `raster instead of raytraced` on devices
    without ray tracing. Empty for policies without images."""
    conditions: str = ""
    """Digest of everything that can change results (`conditions` of a session in `run.json`); records of one run that
    differ in it were run under different conditions."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall seconds in `reset`, `step`, `render`, `policy`, `total`."""
    actions: str | None = None
    """Path, inside the run's folder, of the executed actions: `.npy`, float64 [steps, action size]."""
    actions_sha256: str | None = None
    """SHA-256 over the executed actions as float64 little-endian, row by row."""
    fixtures: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Fixture -> x y z, qw qx qy qz sampled at reset (world frame, m)."""
    warnings: tuple[str, ...] = ()
    """Scene checks that passed only barely."""
    trajectory_sha256: str | None = None
    """SHA-256 over the float64 little-endian simulator states: after the initial state is set, after each settling
    step, after each control step."""
    features: Mapping[str, float] = field(default_factory=dict)
    """Physical facts of a failed episode, by which it is classified (m, degrees, steps; docs/guide/failures.md); empty for
    successes, errors and suites without them."""
    latency: Mapping[str, float] = field(default_factory=dict)
    """Facts of delayed answers (perturbation `latency`): `delay_steps`, mean control steps from a question to its answer;
    `stale`, share of steps with the rest of a chunk while a newer one was due, which lost as many of its first actions; `held`,
    share of steps in which the robot held still; `decisions_per_s`, decisions per second of simulated time; `control_hz`,
    control steps per second. Empty where answers are not delayed."""
    origin: str = ""
    """In a merged run, the name of the source run."""
    finished: str = ""
    """UTC time of the end, ISO 8601. Not part of the result."""

    @property
    def spec(self) -> EpisodeSpec:
        """The episode, as it was planned."""
        state = (self.task_id, self.init_state, self.seed)
        return EpisodeSpec(self.suite, *state, self.protocol, self.variant, self.init_set, self.perturbation)

    @property
    def scene(self) -> tuple[str, str, str, str, int, str]:
        """Suite, task, variant, set and index of the initial state, perturbation: the same under every seed and protocol."""
        return self.suite, self.task, self.variant, self.init_set, self.init_state, self.perturbation

    @property
    def keyed(self) -> bool:
        """Whether the initial state is known; others are numbered, each alone."""
        return not self.init_set.startswith(UNKEYED)

    @property
    def appearance(self) -> str:
        """Appearance variant of the scene; episodes of one part that differ only in it are correlated."""
        return self.variant.partition("/")[0]

    @property
    def part(self) -> str:
        """Part of the task that the variant belongs to; empty for a task without parts."""
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


# CRC-32 at the end of each line, over all bytes before it: JSON syntax reveals a torn line, not a changed digit (failing disk,
# editor). It does not protect against malice: a deliberate change can renew it (`nora-bench verify` replays episodes).
HEAD, TAIL = b',"crc32":"', b'"}'
LENGTH = len(HEAD) + 8 + len(TAIL)


class ChecksumError(ValueError):
    """A line differs from what was written."""


def with_checksum(line: bytes) -> bytes:
    """A JSON object's line (without its newline) with the checksum as its last field."""
    body = line[: -len(b"}")]
    return b"%b%b%08x%b" % (body, HEAD, zlib.crc32(body), TAIL)


def verify_checksum(line: bytes) -> bytes:
    """The same line. Raises ChecksumError if its checksum does not match; lines without a checksum (other writers) pass."""
    end = len(line.rstrip(b"\r\n"))
    body, checksum = line[: end - LENGTH], line[end - LENGTH : end]
    if checksum.startswith(HEAD) and checksum.endswith(TAIL) and checksum[len(HEAD) : -len(TAIL)] != b"%08x" % zlib.crc32(body):
        raise ChecksumError("it was altered after it was written: its crc32 does not match")
    return line

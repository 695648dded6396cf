"""The contract of a suite: what an episode is, and what a world must do to play one.

Everything here is a frozen value or a protocol class; nothing imports a simulator. A worker needs only
numpy, msgpack, this module and the suite it serves, so the syntax stays within Python 3.10.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from .protocols import EvalProtocol
from .types import Array


class SimulationError(RuntimeError):
    """The simulator left the range in which its numbers mean anything (NaN, explosion)."""


class SceneCheckError(SimulationError):
    """A freshly reset world does not stand as its task says; its episodes must not be scored."""


@dataclass(frozen=True, slots=True)
class EpisodeSpec:
    """One episode, fully named. Same spec and same policy: same result, bit for bit."""

    suite: str
    """Suite name, e.g. `libero_goal`."""
    task_id: int
    """Index of the task within the suite."""
    init_state: int
    """Index of the initial state within the task."""
    seed: int
    """Repetition; draws what the initial state leaves open (fixture poses, policy noise)."""
    protocol: str
    """Name of the evaluation protocol, e.g. `libero/openvla`."""
    variant: str = ""
    """Configuration within the task, for suites that have several (empty otherwise)."""

    @property
    def scene(self) -> str:
        """The part of the key that decides the scene: everything but the protocol."""
        variant = f"/{self.variant}" if self.variant else ""
        return f"{self.suite}/task{self.task_id}{variant}/init{self.init_state}/seed{self.seed}"

    @property
    def key(self) -> str:
        """Stable, readable identity: equal keys are the same episode."""
        return f"{self.scene}@{self.protocol}"

    def entropy(self, stream: str, *, decision: int = 0) -> np.random.SeedSequence:
        """Randomness of this episode for one named use; never shared between uses or episodes.

        Depends on the scene, not on the protocol, so that protocols are compared on equal scenes.
        """
        digest = hashlib.sha256(f"{self.scene}#{stream}".encode()).digest()
        words = np.frombuffer(digest[:16], dtype="<u4")
        return np.random.SeedSequence([*map(int, words), decision])

    @property
    def env_seed(self) -> int:
        """32-bit seed for simulators that draw from one global generator at reset."""
        return int(self.entropy("world").generate_state(1)[0])


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a suite."""

    id: int
    name: str
    instruction: str
    init_states: int
    """Number of stored initial states, of each variant where there are several."""
    seeded: bool
    """Whether a seed changes this task's scene (fixtures placed at reset)."""
    variants: tuple[str, ...] = ()
    """Configurations within the task, each with all of its initial states; empty for a task that has only one. Called
    `look` or `look/part`: looks of one part start from the same scenes, and statistics take their episodes for as alike as
    they turn out; parts weigh equally in the task."""

    @property
    def episodes(self) -> int:
        """Different episodes per seed."""
        return self.init_states * max(1, len(self.variants))


@dataclass(frozen=True, slots=True)
class ObservationSpec:
    """What a policy wants to be shown at each decision. Worlds compute nothing else."""

    cameras: tuple[str, ...] = ()
    """Any of `primary` (third person) and `wrist`."""
    image_size: int | None = None
    """Side of the square pictures in pixels; None takes the protocol's."""
    proprio: bool = False
    """Robot state; see the suite's page for keys, units and frames."""
    privileged: bool = False
    """Full simulator state (scripted experts only; recorded, and marked in tables)."""


@dataclass(frozen=True, slots=True)
class EnvObservation:
    """What a world shows at a decision."""

    images: Mapping[str, Array] = field(default_factory=dict)
    """Camera name -> H x W x 3 uint8, oriented as the protocol says (published: turned by 180 degrees)."""
    proprio: Mapping[str, Array] = field(default_factory=dict)
    """Name -> float64 vector."""
    privileged: Mapping[str, Any] = field(default_factory=dict)
    """Msgpack-able tree of numbers, strings and arrays."""


@dataclass(frozen=True, slots=True)
class Reset:
    """What a reset leaves for the record."""

    states: Array
    """[1 + settling steps, state size] float64: after the initial state is set, then after each settling step."""
    fixtures: Mapping[str, Sequence[float]]
    """Fixture name -> x y z, qw qx qy qz in the world frame (m), as drawn for this episode."""
    warnings: tuple[str, ...] = ()
    """Premises that hold only barely, for the record."""
    render_s: float = 0.0
    """Seconds of the reset spent on pictures."""
    renderer: str = ""
    """How pictures of this episode are made, where worlds of the family differ in it: `raster`, `raytraced`, or
    `raster instead of raytraced` where the benchmark asks for ray tracing and the device has none."""


class Env(Protocol):
    """A simulator in one process: plays any episode of its family, one at a time.

    `reset` leaves nothing of the episode before. Pictures are made only where `look` is true. A world may have a method
    `measures() -> Mapping[str, bool]`: outcomes of the episode beside success, asked for when it is over.
    """

    action_size: int

    def reset(self, spec: EpisodeSpec, protocol: EvalProtocol, observation_spec: ObservationSpec) -> Reset:
        """Set the scene, settle it, look once. Raises SceneCheckError where the scene is not the task's."""
        ...

    def step(self, action: Array, *, observe: bool) -> bool:
        """Play one control step; with `look`, keep what the policy is to see afterwards.

        Args:
            action: [action_size] float64, finite, in the simulator's own units.
            look: whether a decision follows this step.

        Returns:
            Whether the task's goal holds after this step.
        """
        ...

    def observation(self) -> EnvObservation:
        """What the last look (reset, or step with `look`) saw."""
        ...

    def state(self) -> Array:
        """[state size] float64: the simulator's state after the last step."""
        ...

    def render_seconds(self) -> float:
        """Seconds spent on pictures since the last reset."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class AssetPack:
    """Meshes and textures that a suite draws with."""

    name: str
    """`official`, `standin`, or the folder's own name for a path given by hand."""
    path: str
    fingerprint: str
    """SHA-256 over the sorted (relative path, file digest) pairs, first 16 hex digits."""


@dataclass(frozen=True, slots=True)
class EnvOptions:
    """What a worker is told when it builds its world."""

    assets: str
    """Folder of the asset pack."""
    gl: str
    """`egl`, `osmesa`, `vulkan`, or `none` for a world that never draws."""
    cache: str
    """Writable folder for compiled helpers and configuration."""
    backend: str = ""
    """Which of the suite's `backends` plays; empty for the first, or for a suite that has only one."""


@dataclass(frozen=True, slots=True)
class ActionConvention:
    """What a suite takes the numbers of an action for, so that answers of another kind can be noticed afterwards."""

    bounds: tuple[float, float] = (-1.0, 1.0)
    """Numbers outside are cut, or make no sense."""
    translation: tuple[int, ...] = ()
    """Places of the hand's displacement, in the suite's own units."""
    gripper: int | None = None
    """Place of a gripper command whose negative numbers open and whose positive ones close; None where the gripper is told
    otherwise, or where an episode needs only one of the two."""


class Suite(Protocol):
    """A named list of tasks. Light: importing and listing a suite never imports a simulator.

    A suite may have more: `protocols` (name -> its own), `cost` (see `harness.estimate`), `opengl = False` (draws by other
    means than MuJoCo's; with `vulkan = True`, by SAPIEN's), `cameras` (those it has, where not both), `instruction(spec)`
    (where episodes of one task are told differently), `actions` (an `ActionConvention`; without it, actions are not examined),
    `backends` (names of the ways to play it, the default first) and
    `foreign_backend` (the one among them that is played by an interpreter of its own).
    """

    name: str
    family: str
    """Suites of one family share worlds, protocols and assets (`libero`)."""
    title: str
    """Column title in the papers' tables, e.g. `Spatial`."""
    tasks: tuple[Task, ...]
    default_protocol: str

    def resolve_assets(self, wanted: str) -> AssetPack:
        """`auto`, `official`, `standin` or a folder -> the pack. Raises SuiteError with the command that helps."""
        ...

    def make_env(self, options: EnvOptions) -> Env:
        """Build the world (heavy imports happen here, in the worker)."""
        ...

    def versions(self) -> Mapping[str, str]:
        """Distribution name -> installed version, for everything that can change a result."""
        ...

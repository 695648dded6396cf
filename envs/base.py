"""The contract of a suite: what an episode is, and what an environment must do to run one.

Everything here is a frozen value or a base class; nothing imports a simulator. A worker needs only
numpy, msgpack, this module and the suite it serves, so the syntax stays within Python 3.10.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from .instructions import OtherTask, Wording
from .moments import Moment, Roles
from .protocols import EvalProtocol
from .specs import ActionDim, ProprioSpec, proprio_spec_problem
from .types import Array

CAMERAS = ("primary", "wrist")
"""All camera names: third person, and on the end effector."""
FRESH = "fresh"
"""Name of the set of initial states that no published evaluation used."""
OPENGL_BACKENDS = ("egl", "osmesa")
"""Values of `EnvOptions.gl` that are OpenGL backends."""
ROTATED, UNROTATED = "rotated_180", "as_rendered"
"""Orientations of images, relative to the simulator's own."""


class SimulationError(RuntimeError):
    """The simulator left the range in which its numbers mean anything (NaN, explosion)."""


class SceneCheckError(SimulationError):
    """A freshly reset scene differs from its task's definition; its episodes must not be scored."""


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
    """Repetition; seeds what the initial state leaves open (fixture poses, policy noise)."""
    protocol: str
    """Name of the evaluation protocol, e.g. `libero/openvla`."""
    variant: str = ""
    """Configuration within the task, for suites that have several (empty otherwise)."""
    init_set: str = ""
    """Set that the initial state is from: empty for the published one, `fresh` for states that no published evaluation used."""
    perturbation: str = ""
    """Name of the one change against the episode without it, e.g. `camera2` (`envs.perturbations`); empty for none."""

    @property
    def scene(self) -> str:
        """The part of the key that decides the scene: everything but protocol and perturbation."""
        variant = f"/{self.variant}" if self.variant else ""
        return f"{self.suite}/task{self.task_id}{variant}/{self.init_set or 'init'}{self.init_state}/seed{self.seed}"

    @property
    def key(self) -> str:
        """Stable, readable identity: equal keys are the same episode."""
        return f"{self.scene}{f'+{self.perturbation}' if self.perturbation else ''}@{self.protocol}"

    @property
    def control(self) -> EpisodeSpec:
        """The same episode without its perturbation."""
        return replace(self, perturbation="")

    def entropy(self, stream: str, *, decision: int = 0) -> np.random.SeedSequence:
        """Randomness of this episode for one named use; never shared between uses or episodes.

        Depends on the scene, not on protocol and perturbation, so that these are compared on equal scenes.
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
    """Configurations within the task, each with all of its initial states; empty for a task that has only one. Named
    `appearance` or `appearance/part`: appearances of one part start from the same scenes, and statistics take their episodes
    for as alike as they turn out; parts weigh equally in the task."""
    fresh_states: int = 0
    """Number of initial states that no published evaluation used (`EpisodeSpec.init_set`)."""

    @property
    def episodes(self) -> int:
        """Different episodes per seed."""
        return self.init_states * max(1, len(self.variants))


LARGEST_IMAGE = 8192
"""Pixels of an image's side, at most."""


@dataclass(frozen=True, slots=True)
class ObservationSpec:
    """The observation that a policy receives at each decision. Environments compute nothing else.

    The last two fields are optional declarations, compared with the suite's and the protocol's before the first episode.
    """

    cameras: tuple[str, ...] = ()
    """Any of `primary` (third person) and `wrist`."""
    image_size: int | None = None
    """Side of the square images in pixels; None takes the protocol's."""
    proprio: bool = False
    """Robot state; see the suite's page for keys, units and frames."""
    privileged: bool = False
    """Full simulator state (scripted experts only; recorded, and marked in tables)."""
    orientation: str | None = None
    """`rotated_180` or `as_rendered`: the orientation of images that the policy was trained on; None where undeclared."""
    proprio_spec: tuple[ProprioSpec, ...] = ()
    """The vectors of the robot state that it reads, with their conventions; empty where undeclared."""

    def problem(self) -> str:
        """Why a policy cannot specify its observation so; empty where it can."""
        if not isinstance(self.cameras, tuple | list) or not all(isinstance(camera, str) for camera in self.cameras):
            return f"cameras must be a tuple of names such as ('primary',), not {self.cameras!r}"
        size = self.image_size
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= LARGEST_IMAGE):
            return f"image_size must be an int from 1 to {LARGEST_IMAGE} (pixels) or None, not {size!r}"
        for name in ("proprio", "privileged"):
            if not isinstance(getattr(self, name), bool):
                return f"{name} must be True or False, not {getattr(self, name)!r}"
        if self.orientation not in (None, ROTATED, UNROTATED):
            return f"orientation must be {ROTATED!r}, {UNROTATED!r} or None, not {self.orientation!r}"
        return proprio_spec_problem(self.proprio_spec)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON and msgpack hold them; the optional declarations only where they are made."""
        values = {**asdict(self), "cameras": list(self.cameras), "proprio_spec": [asdict(key) for key in self.proprio_spec]}
        return {name: value for name, value in values.items() if name not in ("orientation", "proprio_spec") or value}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> ObservationSpec:
        """The specification that `to_json` wrote. Raises KeyError, TypeError for other values."""
        keys = tuple(ProprioSpec(**key) for key in values["proprio_spec"]) if "proprio_spec" in values else ()
        return ObservationSpec(**{**values, "cameras": tuple(values["cameras"]), "proprio_spec": keys})


@dataclass(frozen=True, slots=True)
class EnvObservation:
    """The observation of an environment at a decision."""

    images: Mapping[str, Array] = field(default_factory=dict)
    """Camera name -> H x W x 3 uint8, oriented as the protocol says (published: rotated by 180 degrees)."""
    proprio: Mapping[str, Array] = field(default_factory=dict)
    """Name -> float64 vector."""
    privileged: Mapping[str, Any] = field(default_factory=dict)
    """Msgpack-able tree of numbers, strings and arrays."""
    instruction: str = ""
    """Present instruction of a task that changes it in mid-episode; empty: the episode's."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Facts of a reset that the record keeps."""

    states: Array
    """[1 + settling steps, state size] float64: after the initial state is set, then after each settling step."""
    fixtures: Mapping[str, Sequence[float]]
    """Fixture name -> x y z, qw qx qy qz in the world frame (m), as placed in this episode."""
    warnings: tuple[str, ...] = ()
    """Scene checks that passed only barely, for the record."""
    render_s: float = 0.0
    """Seconds of the reset spent on rendering."""
    renderer: str = ""
    """Rendering of this episode's images, where environments of the family differ in it: `raster`, `raytraced`, or
    `raster instead of raytraced` where the benchmark asks for ray tracing and the device has none."""


class Env(ABC):
    """A simulator in one process: runs any episode of its family, one at a time.

    `reset` leaves nothing of the episode before. Images are rendered only where `observe` is true.
    """

    action_size: int

    @abstractmethod
    def reset(self, spec: EpisodeSpec, protocol: EvalProtocol, observation_spec: ObservationSpec) -> Reset:
        """Set the scene, settle it, observe once. Raises SceneCheckError where the scene is not the task's."""

    @abstractmethod
    def step(self, action: Array, *, observe: bool) -> bool:
        """Success after one control step; with `observe`, the observation for the next decision is kept.

        Args:
            action: [action_size] float64, finite, in the simulator's own units.
            observe: whether a decision follows this step.

        Returns:
            Whether the task's goal holds after this step.
        """

    @abstractmethod
    def observation(self) -> EnvObservation:
        """The latest observation (of the reset, or of a step with `observe`)."""

    @abstractmethod
    def state(self) -> Array:
        """[state size] float64: the simulator's state after the last step."""

    @abstractmethod
    def render_seconds(self) -> float:
        """Seconds spent on rendering since the last reset."""

    @abstractmethod
    def close(self) -> None:
        """Release the simulator."""

    def measures(self) -> Mapping[str, bool]:
        """Outcomes of the episode beside success, read when it is over; none by default."""
        return {}

    def roles(self) -> Roles | None:
        """What the episode's objects are for, read after a reset; None, the default, where no moments can be read."""
        return None

    def moment(self) -> Moment:
        """Physical facts after the last step or the reset, for failure classes; called only where `roles` returns some."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class AssetPack:
    """Meshes and textures that a suite renders with."""

    name: str
    """`official`, `standin`, or the folder's own name for a path given explicitly."""
    path: str
    fingerprint: str
    """SHA-256 over the sorted (relative path, file digest) pairs, first 16 hex digits."""


@dataclass(frozen=True, slots=True)
class EnvOptions:
    """The settings that a worker builds its environment with."""

    assets: str
    """Folder of the asset pack."""
    gl: str
    """`egl`, `osmesa`, `vulkan`, or `none` for an environment that never renders."""
    cache: str
    """Writable folder for compiled helpers and configuration."""
    backend: str = ""
    """The one of the suite's `backends` to use; empty for the first, or for a suite that has only one."""


class Suite(ABC):
    """A named list of tasks. Light: importing and listing a suite never imports a simulator.

    A suite that does not subclass this, but has its required members, gets the defaults of the others from
    `envs.suites.complete`.
    """

    # Set these in all subclasses, as attributes or properties.
    name: str
    family: str
    """Suites of one family share environments, protocols and assets (`libero`)."""
    title: str
    """Column title in the papers' tables, e.g. `Spatial`."""
    tasks: tuple[Task, ...]
    default_protocol: str

    # Set these in some subclasses.
    protocols: Mapping[str, EvalProtocol] = {}
    """Name -> protocol that the suite brings along, beside those of `protocols.toml`."""
    cost: Mapping[str, float] = {}
    """Figures for plans, see `harness.planning.estimate`; empty where unknown."""
    cameras: tuple[str, ...] = CAMERAS
    opengl: bool = True
    """Whether images are rendered by OpenGL, as MuJoCo's are."""
    fixed_image_size: bool = False
    """Whether images always have the protocol's size, whatever `ObservationSpec.image_size` is."""
    vulkan: bool = False
    """With `opengl = False`: whether images are rendered by Vulkan, as SAPIEN's are."""
    backends: tuple[str, ...] = ()
    """Names of the simulators that can run it, the default first; empty where there is only one."""
    foreign_backend: str = ""
    """The one of `backends` that needs an interpreter of its own."""
    backend_notes: Mapping[str, str] = {}
    """Backend -> in one line, for the tables, how its results differ from the benchmark's own; only those that differ."""
    action_spec: tuple[ActionDim, ...] = ()
    """The numbers of an action, in order; empty where undeclared."""
    proprio_spec: tuple[ProprioSpec, ...] = ()
    """The vectors of the robot state in an observation; empty where undeclared."""
    perturbations: tuple[str, ...] = ()
    """Axes of `envs.perturbations` of the kind `scene` that its environments implement: `Env.reset` reads `spec.perturbation`."""
    control_hz: float = 0.0
    """Control steps per second of simulated time; 0 where undeclared."""

    @abstractmethod
    def resolve_assets(self, wanted: str) -> AssetPack:
        """`auto`, `official`, `standin` or a folder -> the pack. Raises SuiteError with the command that helps."""

    @abstractmethod
    def make_env(self, options: EnvOptions) -> Env:
        """Build the environment (heavy imports happen here, in the worker)."""

    @abstractmethod
    def versions(self) -> Mapping[str, str]:
        """Distribution name -> installed version, for everything that can change a result."""

    def backend_problem(self, backend: str) -> str:
        """Why a backend of the suite cannot run on this machine, with the command that helps; empty where it can."""
        return ""

    def perturbation_problem(self, spec: EpisodeSpec) -> str:
        """Why an episode is not run under its perturbation (e.g. the expert cannot solve it); empty where it is."""
        return ""

    def instruction(self, spec: EpisodeSpec) -> str:
        """The instruction of an episode: its task's, unless a subclass words episodes one by one."""
        return next(task.instruction for task in self.tasks if task.id == spec.task_id)

    def wordings(self, instruction: str) -> Sequence[Wording]:
        """Other wordings of one of the suite's instructions; none by default."""
        return ()

    def other_tasks(self, spec: EpisodeSpec) -> Sequence[OtherTask]:
        """Other tasks whose instruction an episode can be given instead: by default all of the suite that have another one.

        A suite overrides it to return those that can be done in the episode's scene. Where its environment knows their goals,
        `Env.measures` returns those of `envs.instructions.FirstGoal`.
        """
        own = self.instruction(spec).casefold()
        other = {task.instruction: OtherTask(self.name, task.id, task.instruction) for task in self.tasks}
        return tuple(task for text, task in other.items() if text.casefold() != own)

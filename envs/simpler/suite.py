"""SimplerEnv's suites as data: tasks, variants, instructions, protocol, assets. Imports no simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from ..base import ActionConvention, AssetPack, EpisodeSpec, SuiteError, Task, World, WorldOptions
from .grid import Configuration, EpisodeSetup, configurations
from .placements import instruction

TASKS = ("pick_coke_can", "move_near", "open_drawer", "close_drawer")
"""Those of the papers' tables, in their order; a task's id is its place here."""
ACTIONS = ActionConvention(translation=(0, 1, 2))
"""Displacement (m), rotation (rad) and change of the gripper of one step: a metre or a radian is no step of this robot."""
OURS = ("sapien", "ruckig", "trimesh", "numpy", "opencv-python-headless")
"""Distributions whose version can change a result of our own build."""
UPSTREAMS = ("mani_skill2_real2sim", "simpler_env", "gymnasium")
"""More of them, where the original is installed."""


@cache
def _configurations(setting: str, counted: bool) -> dict[str, tuple[Configuration, ...]]:
    """Task -> its configurations, subtask by subtask and look by look."""
    chosen = [c for c in configurations() if c.setting == setting and c.counted == counted]
    return {task: found for task in TASKS if (found := tuple(c for c in chosen if c.task == task))}


@dataclass(frozen=True, slots=True)
class SimplerSuite:
    """One setting of SimplerEnv's Google-robot tasks. See `envs.base.Suite` for the contract.

    A task's variants are its configurations (`look/subtask`), an initial state is one of upstream's episodes of such a
    configuration, in upstream's order.
    """

    name: str
    title: str
    setting: str
    counted: bool = True
    """Whether it holds the configurations that published averages contain, or those that are left out of them."""
    family: str = "simpler"
    default_protocol: str = "simpler/nora-1.5"
    opengl: bool = False
    vulkan: bool = True
    backends: tuple[str, ...] = ("sapien3", "upstream")
    foreign_backend: str = "upstream"
    cameras: tuple[str, ...] = ("primary",)
    actions: ActionConvention = ACTIONS

    @property
    def cost(self) -> Mapping[str, float]:
        """Rough figures for plans, of one core with a software driver: seconds per control step, picture, reset and first
        reset of a variant; GiB per worker with pictures."""
        return {"step_s": 0.015, "picture_s": 0.1, "reset_s": 0.1, "build_s": 1.0, "worker_gib": 0.9}

    @property
    def tasks(self) -> tuple[Task, ...]:
        return tuple(_task(name, found) for name, found in _configurations(self.setting, self.counted).items())

    def setup(self, spec: EpisodeSpec) -> EpisodeSetup:
        """The grid's episode behind a spec. Raises SuiteError for one that the grid does not have."""
        task = TASKS[spec.task_id] if 0 <= spec.task_id < len(TASKS) else None
        for configuration in _configurations(self.setting, self.counted).get(task or "", ()):
            if configuration.name == spec.variant and 0 <= spec.init_state < configuration.n_episodes:
                return configuration.episode(spec.init_state)
        raise SuiteError(f"SimplerEnv's grid has no episode {spec.scene}; see `nora-bench list tasks --suite {self.name}`")

    def instruction(self, spec: EpisodeSpec) -> str:
        """What the policy is told in that episode."""
        return instruction(self.setup(spec))

    def resolve_assets(self, wanted: str) -> AssetPack:
        """The pack that `auto`, `official`, `standin` or a folder stands for."""
        from .packs import resolve

        return resolve(wanted)

    def open_world(self, options: WorldOptions) -> World:
        """A world for any suite of the family, by the backend asked for."""
        if options.backend == "upstream":
            from .upstream import UpstreamWorld

            return UpstreamWorld(options)
        from .world import SimplerWorld

        return SimplerWorld(options)

    def versions(self) -> Mapping[str, str]:
        """Installed versions, `missing` where one is not installed."""
        theirs = {name: found for name in UPSTREAMS if (found := _version(name)) != "missing"}
        return {**{name: _version(name) for name in OURS}, **theirs}


def _task(name: str, found: tuple[Configuration, ...]) -> Task:
    """All configurations of a task have equally many episodes."""
    instructions = dict.fromkeys(c.instruction for c in found)
    variants = tuple(c.name for c in found)
    return Task(TASKS.index(name), name, " | ".join(instructions), found[0].n_episodes, seeded=False, variants=variants)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def setup_of(spec: EpisodeSpec) -> EpisodeSetup:
    """The grid's episode behind a spec of any suite here. Raises SuiteError."""
    suites = {suite.name: suite for suite in (simpler_vm, simpler_va, simpler_va_camera)}
    if spec.suite not in suites:
        raise SuiteError(f"{spec.suite} is no suite of SimplerEnv; there are {', '.join(suites)}")
    return suites[spec.suite].setup(spec)


simpler_vm = SimplerSuite("simpler-vm", "Visual Matching", "visual_matching")
simpler_va = SimplerSuite("simpler-va", "Variant Aggregation", "variant_aggregation")
simpler_va_camera = SimplerSuite("simpler-va-camera", "Variant Aggregation, camera", "variant_aggregation", counted=False)

"""SimplerEnv's suites as data: tasks, variants, instructions, protocol, assets. Imports no simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..base import AssetPack, Env, EnvOptions, EpisodeSpec, Suite, Task
from ..instructions import OtherTask, Wording
from ..specs import CLOSE_CHANGE, OPEN_POSITIVE, ActionDim, ProprioSpec, motion_dims
from ..versions import MISSING, installed_versions
from . import interpreter
from .grid import Configuration
from .other_tasks import other_setups
from .placements import instruction
from .setup import WIDOWX, setup_of, suite_configurations, task_ids
from .wordings import wordings

ACTION_SPEC = (
    *motion_dims("m", "rad", "base"),
    ActionDim("gripper", low=-1.0, high=1.0, convention=CLOSE_CHANGE),
)
"""Displacement of the tool centre point in one step and change of the gripper's joint targets. Only the gripper is cut to its
range; a metre or a radian is larger than any step of this robot."""
PROPRIO_SPEC = (
    ProprioSpec("eef_pos", 3, "m", "base"),
    ProprioSpec("eef_quat", 4, frame="base", convention="quaternion_wxyz"),
    ProprioSpec("gripper_qpos", 2, "rad"),
    ProprioSpec("joint_pos", 11, "rad"),
)
WIDOWX_ACTION_SPEC = (
    *motion_dims("m", "rad", "base"),
    ActionDim("gripper", low=-1.0, high=1.0, convention=OPEN_POSITIVE),
)
"""Displacement of the commanded pose of the tool centre point, turned about the measured position; the gripper is absolute."""
WIDOWX_PROPRIO_SPEC = (
    ProprioSpec("eef_pos", 3, "m", "base"),
    ProprioSpec("eef_quat", 4, frame="base", convention="quaternion_wxyz"),
    ProprioSpec("gripper_qpos", 2, "m"),
    ProprioSpec("joint_pos", 8),
)
DEPENDENCIES = ("sapien", "ruckig", "trimesh", "numpy", "opencv-python-headless")
"""Distributions whose version can change a result of sapien3, or images of sapien2, whose own interpreter has pinned versions."""
BACKEND_NOTES = {
    "sapien3": "SAPIEN 3 loses some grasps that the original's engine keeps: in move near 67 successes against 71 in 75 pairs of "
    "scripted controllers (-5 points [-22, 12]; 12 against 15 in 15 for one that squeezes throughout), 60 against 60 in 60 "
    "in pick coke can, 19 against 19 in 30 in open drawer, 30 against 30 in 30 in close drawer "
    "(docs/reference/simplerenv.md, Fidelity)"
}
"""Residual of a backend for the Google robot's tasks; measured there."""
WIDOWX_BACKEND_NOTES = {
    "sapien3": "SAPIEN 3 is not the original's engine: replays of 32 recorded episodes of the WidowX end alike in all 20 "
    "scripted ones and in 10 of 12 pushes and random motions; the scripted expert, which never fails, succeeded in 45 of 45 "
    "pairs on both engines (difference 0 points [-7.8, 7.8]); no other controller was compared "
    "(docs/reference/widowx.md, Measured)"
}
"""The same for the WidowX's."""
UPSTREAM_DEPENDENCIES = ("mani_skill2_real2sim", "simpler_env", "gymnasium")
"""Further ones, where the original is installed."""


@dataclass(frozen=True, slots=True)
class SimplerSuite(Suite):
    """One setting of SimplerEnv's Google-robot tasks. See `envs.base.Suite` for the contract.

    A task's variants are its configurations (`variant/subtask`), an initial state is one of upstream's episodes of such a
    configuration, in upstream's order.
    """

    name: str
    title: str
    family: str = "simpler"
    default_protocol: str = "simpler/nora-1.5"
    opengl: bool = False
    vulkan: bool = True
    fixed_image_size: bool = True
    foreign_backend: str = "upstream"
    backend_notes: Mapping[str, str] = field(default_factory=lambda: BACKEND_NOTES)
    cameras: tuple[str, ...] = ("primary",)
    action_spec: tuple[ActionDim, ...] = ACTION_SPEC
    proprio_spec: tuple[ProprioSpec, ...] = PROPRIO_SPEC
    control_hz: float = 3.0

    @property
    def backends(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]  read only
        """SAPIEN 2.2.2, the original's engine, is the default where its interpreter is installed or named."""
        return ("sapien2", "sapien3", "upstream") if interpreter.is_default() else ("sapien3", "sapien2", "upstream")

    def backend_problem(self, backend: str) -> str:
        return interpreter.problem() if backend == "sapien2" else ""

    @property
    def cost(self) -> Mapping[str, float]:  # pyright: ignore[reportIncompatibleVariableOverride]  read only
        """Rough figures for plans, of one core with a software driver: seconds per control step, image, reset and first
        reset of a variant; GiB per worker with images."""
        return {"step_s": 0.015, "image_s": 0.1, "reset_s": 0.1, "build_s": 1.0, "worker_gib": 0.9}

    @property
    def tasks(self) -> tuple[Task, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]  read only
        ids = task_ids(self.name)
        return tuple(_task(ids[name], name, members) for name, members in suite_configurations(self.name).items())

    def instruction(self, spec: EpisodeSpec) -> str:
        return instruction(setup_of(spec))

    def wordings(self, instruction: str) -> Sequence[Wording]:
        """The stored wordings of an instruction, first or later."""
        return wordings(instruction)

    def other_tasks(self, spec: EpisodeSpec) -> Sequence[OtherTask]:
        """The other tasks that can be done in the scene, in the order of `other_setups`."""
        ids = task_ids(spec.suite)
        return tuple(OtherTask(spec.suite, ids[other.task], other.instruction) for other in other_setups(setup_of(spec)))

    def resolve_assets(self, wanted: str) -> AssetPack:
        from .assets.packs import resolve

        return resolve(wanted)

    def make_env(self, options: EnvOptions) -> Env:
        """An environment for any suite of the family, of the backend in the options."""
        backend = options.backend or self.backends[0]
        if backend == "upstream":
            from .sim.upstream import UpstreamEnv

            return UpstreamEnv(options)
        from .sim.env import SapienEnv

        return SapienEnv(replace(options, backend=backend))

    def versions(self) -> Mapping[str, str]:
        upstream = installed_versions(UPSTREAM_DEPENDENCIES)
        return installed_versions(DEPENDENCIES) | {name: version for name, version in upstream.items() if version != MISSING}


def _task(number: int, name: str, members: tuple[Configuration, ...]) -> Task:
    """Task of some configurations, all with equally many episodes."""
    instructions = dict.fromkeys(c.instruction for c in members)
    variants = tuple(c.name for c in members if c.name)
    return Task(number, name, " | ".join(instructions), members[0].n_episodes, seeded=False, variants=variants)


simpler_vm = SimplerSuite("simpler-vm", "Visual Matching")
simpler_va = SimplerSuite("simpler-va", "Variant Aggregation")
simpler_vm_place = SimplerSuite("simpler-vm-place", "Visual Matching, apple in drawer")
simpler_va_place = SimplerSuite("simpler-va-place", "Variant Aggregation, apple in drawer")
simpler_va_camera = SimplerSuite("simpler-va-camera", "Variant Aggregation, camera")


@dataclass(frozen=True, slots=True)
class WidowXSuite(SimplerSuite):
    """The four WidowX tasks, evaluated by visual matching; an initial state is one of a task's 24 layouts."""

    default_protocol: str = "simpler/widowx"
    foreign_backend: str = ""
    backend_notes: Mapping[str, str] = field(default_factory=lambda: WIDOWX_BACKEND_NOTES)
    action_spec: tuple[ActionDim, ...] = WIDOWX_ACTION_SPEC
    proprio_spec: tuple[ProprioSpec, ...] = WIDOWX_PROPRIO_SPEC
    control_hz: float = 5.0

    @property
    def cost(self) -> Mapping[str, float]:
        return {"step_s": 0.035, "image_s": 0.1, "reset_s": 0.3, "build_s": 1.0, "worker_gib": 0.9}

    @property
    def backends(self) -> tuple[str, ...]:  # without `upstream`, whose environments are the Google robot's here
        return SimplerSuite.backends.fget(self)[:2]  # type: ignore[attr-defined]

    def resolve_assets(self, wanted: str) -> AssetPack:
        from .assets.packs import resolve
        from .assets.required_files import missing_widowx_files

        return resolve(wanted, missing_widowx_files)


simpler_widowx = WidowXSuite(WIDOWX, "WidowX")

"""The five LIBERO suites as data: tasks, instructions, protocol, assets. Imports no simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..base import AssetPack, Env, EnvOptions, EpisodeSpec, Suite, Task
from ..instructions import OtherTask, Wording
from ..specs import OPEN_NEGATIVE, ActionDim, ProprioSpec, motion_dims
from ..versions import installed_versions
from .other_goals import other_goals
from .tasks import TITLES, load_tasks
from .wordings import load_wordings

DEPENDENCIES = ("mujoco", "robosuite", "hf-libero", "bddl", "numpy", "numba", "scipy")
"""Distributions whose version can change a result."""

ACTION_SPEC = (
    *motion_dims("0.05 m", "0.5 rad", "world"),
    ActionDim("gripper", low=-1.0, high=1.0, convention=OPEN_NEGATIVE),
)
"""robosuite's OSC_POSE: displacement of the grip site, cut to [-1, 1], and the gripper, of which only the sign counts."""
PROPRIO_SPEC = (
    ProprioSpec("eef_pos", 3, "m", "world"),
    ProprioSpec("eef_quat", 4, frame="world", convention="quaternion_xyzw"),
    ProprioSpec("gripper_qpos", 2, "m"),
    ProprioSpec("joint_pos", 7, "rad"),
)
"""`eef_pos` is of the grip site, `eef_quat` of the hand body (turned by 90 degrees against the site)."""


@dataclass(frozen=True, slots=True)
class LiberoSuite(Suite):
    """One LIBERO suite. See `envs.base.Suite` for the contract."""

    name: str
    family: str = "libero"
    default_protocol: str = "libero/openvla"
    action_spec: tuple[ActionDim, ...] = ACTION_SPEC
    proprio_spec: tuple[ProprioSpec, ...] = PROPRIO_SPEC
    control_hz: float = 20.0
    perturbations: tuple[str, ...] = ("camera", "wrist", "light", "background", "appearance", "robot", "layout", "distractors")

    @property
    def title(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  read only
        return TITLES[self.name]

    @property
    def tasks(self) -> tuple[Task, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]  read only
        return load_tasks(self.name)

    @property
    def cost(self) -> Mapping[str, float]:  # pyright: ignore[reportIncompatibleVariableOverride]  read only
        """Rough figures for plans, of one core with software rendering at 256 px: seconds per control step, image,
        reset and task build; GiB per worker with images. Measured by tests/benchmarks/bench_libero.py."""
        return {"step_s": 0.004, "image_s": 0.09, "reset_s": 0.05, "build_s": 5.0, "worker_gib": 1.0}

    def resolve_assets(self, wanted: str) -> AssetPack:
        """The pack that `auto`, `official`, `standin` or a folder stands for."""
        from .assets.packs import resolve

        return resolve(wanted, self.name)

    def make_env(self, options: EnvOptions) -> Env:
        """An environment for any LIBERO suite."""
        from .sim.env import LiberoEnv

        return LiberoEnv(options)

    def perturbation_problem(self, spec: EpisodeSpec) -> str:
        """Why the scripted expert could not solve a perturbed episode; empty where it could, or where that was not examined."""
        from .unsolvable import unsolvable

        return unsolvable(spec)

    def versions(self) -> Mapping[str, str]:
        """Installed versions, `missing` for absent distributions."""
        return installed_versions(DEPENDENCIES)

    def wordings(self, instruction: str) -> Sequence[Wording]:
        """The stored wordings of an instruction; libero_90 has none."""
        stored = load_wordings(self.name)
        return stored.texts.get(instruction, ()) if stored else ()

    def other_tasks(self, spec: EpisodeSpec) -> Sequence[OtherTask]:
        """The other tasks that can be done in the scene, in the order of `other_goals`."""
        return tuple(
            OtherTask(other.suite, other.task_id, load_tasks(other.suite)[other.task_id].instruction)
            for other in other_goals(spec.suite, spec.task_id)
        )


libero_spatial = LiberoSuite("libero_spatial")
libero_object = LiberoSuite("libero_object")
libero_goal = LiberoSuite("libero_goal")
libero_10 = LiberoSuite("libero_10")
libero_90 = LiberoSuite("libero_90")

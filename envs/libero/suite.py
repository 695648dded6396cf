"""The five LIBERO suites as data: tasks, instructions, protocol, assets. Imports no simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..base import ActionConvention, AssetPack, Env, EnvOptions, Task
from ..versions import installed_versions
from .tasks import TITLES, load_tasks

DEPENDENCIES = ("mujoco", "robosuite", "hf-libero", "bddl", "numpy", "numba", "scipy")
"""Distributions whose version can change a result."""

ACTIONS = ActionConvention(translation=(0, 1, 2), gripper=6)
"""Six components of a motion, clipped to [-1, 1] (1 is 5 cm or 0.5 rad to go), and the gripper: -1 opens, 1 closes."""


@dataclass(frozen=True, slots=True)
class LiberoSuite:
    """One LIBERO suite. See `envs.base.Suite` for the contract."""

    name: str
    family: str = "libero"
    default_protocol: str = "libero/openvla"
    actions: ActionConvention = ACTIONS

    @property
    def title(self) -> str:
        return TITLES[self.name]

    @property
    def tasks(self) -> tuple[Task, ...]:
        return load_tasks(self.name)

    @property
    def cost(self) -> Mapping[str, float]:
        """Rough figures for plans, of one core with software rendering at 256 px: seconds per control step, image,
        reset and task build; GiB per worker with rendering. Measured by tests/benchmarks/bench_libero.py."""
        return {"step_s": 0.004, "picture_s": 0.09, "reset_s": 0.05, "build_s": 5.0, "worker_gib": 1.0}

    def resolve_assets(self, wanted: str) -> AssetPack:
        """The pack that `auto`, `official`, `standin` or a folder stands for."""
        from .assets.packs import resolve

        return resolve(wanted, self.name)

    def make_env(self, options: EnvOptions) -> Env:
        """Environment for any LIBERO suite."""
        from .sim.env import LiberoEnv

        return LiberoEnv(options)

    def versions(self) -> Mapping[str, str]:
        """Installed versions, `missing` for absent distributions."""
        return installed_versions(DEPENDENCIES)


libero_spatial = LiberoSuite("libero_spatial")
libero_object = LiberoSuite("libero_object")
libero_goal = LiberoSuite("libero_goal")
libero_10 = LiberoSuite("libero_10")
libero_90 = LiberoSuite("libero_90")

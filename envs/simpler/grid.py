"""Every evaluation configuration of SimplerEnv's Google-robot tasks, as upstream's scripts run them.

The facts are in `grid.json`. Metres, radians; quaternions w, x, y, z; poses in the world frame. Imports no simulator
and stays within Python 3.10, because upstream's own interpreter reads it too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

BASE_HEIGHT = 0.06205 + 0.017
"""World z of the robot's root (m)."""
SETTINGS = ("visual_matching", "variant_aggregation")


@dataclass(frozen=True, slots=True)
class RobotInit:
    """Pose of the robot's base."""

    init_xy: tuple[float, float]
    yaw: float = 0.0
    """Rotation about world z (rad), on top of the half turn that makes the robot face -x."""
    pose_id: str = ""
    """Upstream's name of the pose (`a0` to `c2` at the drawers in visual matching), else empty."""

    @property
    def init_rot_quat_wxyz(self) -> tuple[float, float, float, float]:
        """Orientation of the base: Rz(yaw) times the half turn."""
        return (0.0 - math.sin(self.yaw / 2), 0.0, 0.0, math.cos(self.yaw / 2))


@dataclass(frozen=True, slots=True)
class Configuration:
    """One environment of the grid with all its episodes; field names are upstream's where it has one."""

    task: str
    """`pick_coke_can`, `move_near`, `open_drawer`, `close_drawer` or `place_apple_in_closed_top_drawer`."""
    setting: str
    """One of SETTINGS."""
    variant: str
    """Appearance variant, e.g. `urdf_base` or `lighting_darker`."""
    axis: str
    """Property that the variant changes, e.g. `lighting`."""
    subtask: str
    """Orientation of the can, or the drawer; empty for move near."""
    env_id: str
    """gymnasium id in upstream's package."""
    scene_name: str
    """Stage around the task."""
    rgb_overlay: str | None
    """Photograph under `real_inpainting`, with `{id}` where each robot pose has its own; None: no photograph."""
    env_kwargs: Mapping[str, Any] = field(hash=False)
    """Arguments that upstream passes beyond the common ones."""
    instruction: str
    """With `{source}` and `{target}` in move near."""
    robot_init: tuple[RobotInit, ...]
    obj_init: tuple[tuple[float, float], ...]
    """Object x, y; one (0, 0) in scenes without objects; empty in move near."""
    episode_ids: tuple[int, ...]
    """Move near's numbered layouts; empty elsewhere."""
    max_episode_steps: int
    counted: bool
    """Whether published averages include it (the camera variants are run, but not averaged)."""
    robot: str
    control_mode: str
    control_freq: int
    sim_freq: int

    @property
    def name(self) -> str:
        """Name of the variant within task and setting: the variant, then the subtask if any."""
        return f"{self.variant}/{self.subtask}" if self.subtask else self.variant

    @property
    def id(self) -> str:
        """Unique name of the variant in the grid."""
        return f"{self.task}/{self.setting}/{self.name}"

    @property
    def n_episodes(self) -> int:
        """Robot poses times object placements."""
        return len(self.robot_init) * len(self.episode_ids or self.obj_init)

    @property
    def ray_traced(self) -> bool:
        """Whether upstream renders it by ray tracing."""
        return self.env_kwargs.get("shader_dir") == "rt"

    @property
    def is_widowx(self) -> bool:
        """Whether it is of the WidowX, not of the Google robot."""
        return self.robot.startswith("widowx")

    def episode(self, index: int) -> EpisodeSetup:
        """Episode `index` in upstream's order: robot poses outside, objects inside. Raises IndexError."""
        if not 0 <= index < self.n_episodes:
            raise IndexError(f"{self.id} has episodes 0 to {self.n_episodes - 1}, not {index}")
        robot, place = divmod(index, len(self.episode_ids or self.obj_init))
        if self.episode_ids:
            return EpisodeSetup(self, self.robot_init[robot], None, self.episode_ids[place])
        return EpisodeSetup(self, self.robot_init[robot], self.obj_init[place], None)


@dataclass(frozen=True, slots=True)
class EpisodeSetup:
    """One episode of a configuration: the arguments of `reset`."""

    configuration: Configuration
    robot: RobotInit
    obj_xy: tuple[float, float] | None
    """Drop position of the object (m); None in move near."""
    episode_id: int | None
    """Move near's layout; None elsewhere."""

    @property
    def rgb_overlay(self) -> str | None:
        """The photograph behind this episode; None: no photograph."""
        overlay = self.configuration.rgb_overlay
        return overlay and overlay.format(id=self.robot.pose_id)


@cache
def _data() -> dict[str, Any]:
    return json.loads(Path(__file__).with_name("grid.json").read_text(encoding="utf-8"))


@cache
def configurations() -> tuple[Configuration, ...]:
    """All of them: visual matching first, task by task, subtask by subtask, variant by variant."""
    return tuple(configuration for block in _data()["blocks"] for configuration in _block(block))


def find(task: str, setting: str, name: str) -> Configuration:
    """The configuration of that task, setting and `name`. Raises KeyError."""
    for configuration in configurations():
        if (configuration.task, configuration.setting, configuration.name) == (task, setting, name):
            return configuration
    raise KeyError(f"SimplerEnv's grid has no configuration {task}/{setting}/{name}")


def _block(block: Mapping[str, Any]) -> Iterator[Configuration]:
    data = _data()
    for subtask, part in data["subtasks"][block["subtasks"]].items():
        for variant, look in data["looks"][block["looks"]].items():
            merged = {"counted": True, **block, **part, **look}
            yield Configuration(
                task=block["task"],
                setting=block["setting"],
                variant=variant,
                axis=look["axis"],
                subtask=subtask,
                env_id=merged["env_id"],
                scene_name=merged["scene_name"],
                rgb_overlay=block["rgb_overlay"],
                env_kwargs={key: value for layer in (block, part, look) for key, value in layer.get("env_kwargs", {}).items()},
                instruction=merged["instruction"],
                robot_init=_robots(block["robots"]),
                obj_init=_objects(block["objects"]),
                episode_ids=tuple(range(data["object_grids"][block["objects"]].get("episodes", 0))),
                max_episode_steps=block["max_episode_steps"],
                counted=merged["counted"],
                **data["common"],
            )


@cache
def _robots(name: str) -> tuple[RobotInit, ...]:
    poses = _data()["robot_poses"][name]
    return tuple(RobotInit(tuple(pose["xy"]), pose.get("yaw", 0.0), pose.get("id", "")) for pose in poses)


@cache
def _objects(name: str) -> tuple[tuple[float, float], ...]:
    grid = _data()["object_grids"][name]
    if "episodes" in grid:
        return ()
    return tuple((x, y) for x in grid.get("x", (0.0,)) for y in grid.get("y", (0.0,)))

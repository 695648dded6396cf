"""The four WidowX tasks: objects, set-ups and drop poses of their 24 numbered layouts.

Facts: ManiSkill2_real2sim ef7a4d4f, `envs/custom_scenes/put_on_in_scene.py`, its model databases and `agents/configs/widowx`.
Metres; quaternions w, x, y, z; world frame. Stays within Python 3.10.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .grid import Configuration

Quaternion = tuple[float, float, float, float]
XY = tuple[float, float]
IDENTITY: Quaternion = (1.0, 0.0, 0.0, 0.0)
EPISODES = 24
TABLE_ROBOT, SINK_ROBOT = "widowx", "widowx_sink_camera_setup"
"""Upstream's names of the robot in its two set-ups."""
X_VLA_ROBOT = "widowx_sink_x_vla"
"""The sink set-up of X-VLA's evaluation: the table's arm, another camera. The x of its base is assumed: no source states it."""
BASE = {TABLE_ROBOT: (0.147, 0.028, 0.870), SINK_ROBOT: (0.127, 0.060, 0.850), X_VLA_ROBOT: (0.147, 0.028, 0.870)}
"""Set-up -> position of the robot's root, which is turned by half a turn."""
SINK = ("sink", (-0.16, 0.13, 0.88))
"""Model and position of the fixed basin in the sink set-up."""
FINGERS = {"left_finger_link": 1.0, "right_finger_link": -1.0}
"""Finger -> sign of its opening direction along its y axis."""
DENSITIES = {
    "bridge_spoon_generated_modified": 1200.0,
    "table_cloth_generated_shorter": 330.0,
    "bridge_carrot_generated_modified": 700.0,
    "bridge_plate_objaverse_larger": 1000.0,
    "baked_green_cube_3cm": 1000.0,
    "baked_yellow_cube_3cm": 1000.0,
    "eggplant": 400.0,
    "dummy_sink_target_plane": 100000.0,
    "sink": 100000.0,
}
"""kg/m3, of the same databases."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the two objects of an episode are dropped."""

    source_xy: XY
    source_quat: Quaternion
    target_xy: XY
    target_quat: Quaternion = IDENTITY


@dataclass(frozen=True, slots=True)
class WidowXTask:
    """One task: its two objects and how its success rule differs."""

    name: str
    recorded_name: str
    """Name in recordings and in the published grid."""
    env_id: str
    source: str
    target: str
    instruction: str
    source_quats: tuple[Quaternion, ...]
    max_steps: int = 60
    sink: bool = False
    """Whether it takes place in the sink set-up instead of on the table."""
    free_source: bool = False
    """Whether success requires that the source touches nothing but target and robot."""
    above: float = 0.02
    """Largest gap (m) between the boxes of source and target, by upstream's measure."""

    @property
    def robot(self) -> str:
        """Upstream's name of the robot's set-up."""
        return SINK_ROBOT if self.sink else TABLE_ROBOT


def about_z(degrees: float) -> Quaternion:
    """Rotation about the vertical."""
    return (math.cos(math.radians(degrees) / 2), 0.0, 0.0, math.sin(math.radians(degrees) / 2))


TASKS: dict[str, WidowXTask] = {
    task.name: task
    for task in (
        WidowXTask(
            name="spoon_on_towel",
            recorded_name="widowx_spoon_on_towel",
            env_id="PutSpoonOnTableClothInScene-v0",
            source="bridge_spoon_generated_modified",
            target="table_cloth_generated_shorter",
            instruction="put the spoon on the towel",
            source_quats=(IDENTITY, about_z(90.0)),
        ),
        WidowXTask(
            name="carrot_on_plate",
            recorded_name="widowx_carrot_on_plate",
            env_id="PutCarrotOnPlateInScene-v0",
            source="bridge_carrot_generated_modified",
            target="bridge_plate_objaverse_larger",
            instruction="put carrot on plate",
            source_quats=(about_z(180.0), about_z(-90.0)),
            free_source=True,
        ),
        WidowXTask(
            name="stack_cube",
            recorded_name="widowx_stack_cube",
            env_id="StackGreenCubeOnYellowCubeBakedTexInScene-v0",
            source="baked_green_cube_3cm",
            target="baked_yellow_cube_3cm",
            instruction="stack the green block on the yellow block",
            source_quats=(IDENTITY,),
            free_source=True,
        ),
        WidowXTask(
            name="eggplant_in_basket",
            recorded_name="widowx_put_eggplant_in_basket",
            env_id="PutEggplantInBasketScene-v0",
            source="eggplant",
            target="dummy_sink_target_plane",
            instruction="put eggplant into yellow basket",
            source_quats=(IDENTITY, about_z(45.0), about_z(-45.0)),
            max_steps=120,
            sink=True,
            above=0.06,
        ),
    )
}
"""Name -> task, in the order of the published tables."""
RECORDED_NAMES = {task.recorded_name: task.name for task in TASKS.values()}


def layout(task: str, episode_id: int) -> Layout:
    """Drop poses of a task's episode; an id beyond the last repeats, as upstream's does."""
    return _layouts(task)[episode_id % EPISODES]


@cache
def _layouts(name: str) -> tuple[Layout, ...]:
    task = TASKS[name]
    if task.sink:
        places: list[tuple[XY, XY]] = [((x, y), (-0.125, 0.025)) for x in (-0.115, -0.095) for y in (0.191, 0.201, 0.211, 0.221)]
    elif len(task.source_quats) == 1:
        places = [*_pairs(0.05), *_pairs(0.10)]
    else:
        places = _pairs(0.075)
    return tuple(Layout(source, quat, target) for source, target in places for quat in task.source_quats)


def _pairs(half: float) -> list[tuple[XY, XY]]:
    """Ordered pairs of different corners of a square around the middle of the table."""
    corners = [(round(-0.16 + x, 6), y) for x in (-half, half) for y in (-half, half)]
    return list(permutations(corners, 2))


def is_sink(configuration: Configuration) -> bool:
    """Whether the configuration is one of the WidowX at the sink."""
    return configuration.is_widowx and TASKS[configuration.task].sink

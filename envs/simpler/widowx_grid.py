"""The four WidowX tasks: 24 numbered layouts each, as upstream's scripts run them.

Facts: ManiSkill2_real2sim ef7a4d4f, `envs/custom_scenes/put_on_in_scene.py` and `agents/configs/widowx`. Metres; quaternions
w, x, y, z; world frame. Stays within Python 3.10.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import permutations

from .grid import Configuration, EpisodeSetup, RobotInit

Quaternion = tuple[float, float, float, float]
XY = tuple[float, float]
IDENTITY: Quaternion = (1.0, 0.0, 0.0, 0.0)
EPISODES = 24
TABLE_ROBOT, SINK_ROBOT = "widowx", "widowx_sink_camera_setup"
"""Upstream's names of the robot in its two set-ups."""
X_VLA_ROBOT = "widowx_sink_x_vla"
"""The sink set-up of X-VLA's evaluation: the table's arm, another camera."""
BASE = {TABLE_ROBOT: (0.147, 0.028, 0.870), SINK_ROBOT: (0.127, 0.060, 0.850), X_VLA_ROBOT: (0.147, 0.028, 0.870)}
"""Set-up -> position of the robot's root, which is turned by half a turn."""
SINK = ("sink", (-0.16, 0.13, 0.88))
"""Model and position of the fixed basin in the sink set-up."""


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


@cache
def configurations() -> tuple[Configuration, ...]:
    """One configuration per task; all are evaluated by visual matching."""
    return tuple(map(_configuration, TASKS.values()))


def _configuration(task: WidowXTask) -> Configuration:
    x, y, _ = BASE[task.robot]
    return Configuration(
        task=task.name,
        setting="visual_matching",
        variant="",
        axis="",
        subtask="",
        env_id=task.env_id,
        scene_name=f"bridge_table_1_v{2 if task.sink else 1}",
        rgb_overlay="bridge_sink.png" if task.sink else "bridge_real_eval_1.png",
        env_kwargs={},
        instruction=task.instruction,
        robot_init=(RobotInit((x, y)),),
        obj_init=(),
        episode_ids=tuple(range(EPISODES)),
        max_episode_steps=task.max_steps,
        counted=True,
        robot=task.robot,
        control_mode="arm_pd_ee_target_delta_pose_align2_gripper_pd_joint_pos",
        control_freq=5,
        sim_freq=500,
    )


def in_environment(setup: EpisodeSetup, environment: Mapping[str, str]) -> EpisodeSetup:
    """The episode with the settings of a protocol (`EvalProtocol.environment`)."""
    if environment.get("sink_setup") != "x-vla" or not TASKS[setup.configuration.task].sink:
        return setup
    return replace(setup, configuration=replace(setup.configuration, robot=X_VLA_ROBOT), robot=RobotInit(BASE[X_VLA_ROBOT][:2]))


def is_sink(configuration: Configuration) -> bool:
    """Whether the configuration is one of the WidowX at the sink."""
    return is_widowx(configuration) and TASKS[configuration.task].sink


def is_widowx(configuration: Configuration) -> bool:
    """Whether the configuration is of the WidowX, not of the Google robot."""
    return configuration.robot.startswith("widowx")

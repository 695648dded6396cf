"""The evaluation configurations of the four WidowX tasks, as upstream's scripts run them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from .grid import Configuration, EpisodeSetup, RobotInit
from .widowx_tasks import BASE, EPISODES, TASKS, X_VLA_ROBOT, WidowXTask


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

"""WidowX: controller, rest poses and motion compared with recordings of upstream's engine.

Replays start from the recorded joints and objects. Only scripted episodes are judged on their outcome: what the hand pushes or
brushes against ends up to decimetres away (docs/reference/widowx.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...parity import Check, max_abs_difference
from ..grid import RobotInit
from ..recordings import Recording
from ..sim.kinematics import as_pose, pose7
from ..sim.settling import SettledObjects
from ..sim.widowx.constants import ARM, JOINTS
from ..sim.widowx.controller import accumulated, finger_target
from ..sim.widowx.physics import WidowXPhysics
from ..sim.widowx.scene import CONTROL_SOLVER, WidowXScene
from ..sim.widowx.settling import WidowXSettler
from ..widowx_grid import configurations
from ..widowx_tasks import RECORDED_NAMES

IK_JOINTS = 1.5e-4
"""rad: the solvers stop within 1e-4 of the target, at different points."""
TARGET_POSE = 1e-5
"""m, and components of the quaternion: poses are in single precision."""
ONE_STEP, TEN_STEPS = 5e-5, 1e-4
"""Tolerances of the joints after one control step, and over ten of a scripted episode (rad)."""
SETTLED = 1e-5
"""m, and components of the quaternion."""
SCRIPTED = ("place", "place_edge", "undo", "drop", "keep")
"""Recorded policies whose outcome is judged."""


def compare_controllers(recorded: Mapping[str, np.ndarray], pack: Path) -> Iterator[Check]:
    """Checks of recorded inverse kinematics, accumulated target poses and gripper targets."""
    case = "WidowX controller cases"
    robot = WidowXScene(pack, configurations()[0], CONTROL_SOLVER).add_robot()
    wrong, error = 0, 0.0
    rows = zip(*(recorded[f"ik_{name}"] for name in ("qpos", "target", "success", "result")), strict=True)
    for start, target, success, result in rows:
        robot.place(RobotInit((0.0, 0.0)), np.asarray(start, np.float64))
        solution, solved = robot.solve(as_pose(target))
        wrong += solved != bool(success)
        error = max(error, max_abs_difference(solution[ARM], result[ARM])) if success else error
    yield Check(case, "WidowX inverse kinematics: different outcomes", float(wrong), 0.0, f"{len(recorded['ik_qpos'])} cases")
    yield Check(case, "WidowX inverse kinematics: joints (rad)", error, IK_JOINTS)
    poses = [
        pose7(accumulated(as_pose(last), as_pose(current), action[:3], action[3:]))
        for last, current, action in zip(
            *(recorded[f"seq_{name}"].reshape(-1, size) for name, size in (("prev_target_pose", 7), ("fk", 7), ("action", 6))),
            strict=True,
        )
    ]
    expected = recorded["seq_target_pose"].reshape(-1, 7)
    error = max(pose_difference(*pair) for pair in zip(poses, expected, strict=True))
    yield Check(case, "WidowX accumulated target pose (m, quaternion)", error, TARGET_POSE)
    targets = [[finger_target(float(command))] * 2 for command in recorded["gripper_action"]]
    yield Check(case, "WidowX gripper target (m)", max_abs_difference(targets, recorded["gripper_target_qpos"]), 1e-8)


def pose_difference(first: ArrayLike, second: ArrayLike) -> float:
    """Largest difference of two poses' numbers, whatever the sign of a quaternion."""
    a, b = np.asarray(first, np.float64), np.array(second, np.float64)
    b[3:] *= 1.0 if a[3:] @ b[3:] >= 0 else -1.0
    return float(np.abs(a - b).max())


def compare_settling(cases: Sequence[Mapping[str, Any]], pack: Path) -> Iterator[Check]:
    """Checks of recorded start poses of the objects."""
    settler, worst = WidowXSettler(pack), dict[str, float]()
    known = {configuration.task: configuration for configuration in configurations()}
    for case in cases:
        settled = settler.settle(known[RECORDED_NAMES[case["task"]]].episode(case["episode_id"]))
        for pose, recorded in zip(settled.poses, case["objects"], strict=True):
            error = pose_difference(pose7(pose), [*recorded["p"], *recorded["q_wxyz"]])
            worst[recorded["name"]] = max(worst.get(recorded["name"], 0.0), error)
    for model, error in worst.items():
        yield Check(f"settled {model}", "settled WidowX objects (m, quaternion)", error, SETTLED)


class WidowXReplay:
    """Replay of one recording on SAPIEN 3: its actions from its start."""

    def __init__(self, recording: Recording, pack: Path) -> None:
        self.recording, arrays = recording, recording.arrays
        order = [recording.facts["robot_joint_names"].index(name) for name in JOINTS]
        self.recorded = np.asarray(arrays["qpos"], np.float64)[1:, order]
        start = SettledObjects(tuple(map(as_pose, arrays["obj_pose_world"][0])), tuple(map(np.asarray, arrays["obj_vel"][0])))
        physics = WidowXPhysics(pack, recording.setup, start, np.asarray(arrays["qpos"], np.float64)[0, order])
        rows = [self._step(physics, action) for action in np.asarray(arrays["actions"], np.float64)]
        self.qpos, self.ik, self.done, self.source = map(np.array, zip(*rows, strict=True))

    def _step(self, physics: WidowXPhysics, action: np.ndarray) -> tuple[Any, ...]:
        done = physics.step(action)
        assert physics.drive is not None
        return physics.robot.qpos(), physics.drive.ik_success, done, physics.scene.snapshot().poses[0, :3]

    def checks(self) -> Iterator[Check]:
        """Checks of this recording."""
        name, arrays = self.recording.name, self.recording.arrays
        judged = self.recording.facts.get("policy") in SCRIPTED
        error = np.abs(self.qpos - self.recorded).max(axis=1)
        other = float((self.ik != arrays["ik_success"]).sum())
        yield Check(name, "WidowX replay: inverse kinematics, different outcomes", other, 0.0 if judged else None)
        yield Check(name, "WidowX replay: joints after one step (rad)", float(error[0]), ONE_STEP)
        yield Check(name, "WidowX replay: joints over ten steps (rad)", float(error[:10].max()), TEN_STEPS if judged else None)
        recorded = arrays["terminated"].astype(bool)
        for when, own, original in (
            ("any", self.done.any(), recorded.any()),
            ("the last", self.done[-1], recorded[-1]),
        ):
            differs = float(bool(own) != bool(original))
            yield Check(name, f"WidowX replay: success at {when} step differs", differs, 0.0 if judged else None)
        steps = float((self.done != recorded).sum())
        yield Check(name, "WidowX replay: steps whose flag differs", steps, None, f"of {len(recorded)}")
        apart = float(np.linalg.norm(self.source[-1] - arrays["obj_pose_world"][-1][0, :3]))
        yield Check(name, "WidowX replay: source at the end (m)", apart, None)

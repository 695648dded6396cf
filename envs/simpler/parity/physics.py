"""Kinematics, plans, settling and motion compared with recordings of upstream's engine.

Replays start from the recorded joints and objects. Tolerances and their reasons: docs/evidence/simplerenv_parity.md. The recorded
random drops of an orange, which rolls, and scenes with distractors, which fall on each other, are reported only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SuiteError
from ...parity import Check, max_abs_difference
from ...rotations import angle_degrees
from .. import recordings
from ..grid import EpisodeSetup, RobotInit, configurations
from ..placements import objects
from ..recordings import Recording
from ..sim.controllers import GripperController, MotionPlanner
from ..sim.env import PhysicsScene
from ..sim.kinematics import as_pose
from ..sim.robot import ARM, FINGERS, JOINTS
from ..sim.scene import SimplerScene
from ..sim.settling import ObjectSettler, SettledObjects
from ..sim.solver import CONTROL_SOLVER
from ..widowx_tasks import RECORDED_NAMES
from . import widowx

IK_JOINTS = 1.5e-4
"""rad: the solvers stop within 1e-4 of the target, at different points."""
FREE_STEPS, FREE_JOINTS, FREE_EFFECTOR = 10, 3e-4, 1.5e-4
"""Compared control steps without contact; tolerances in rad and m."""
GRIPPER = 1e-6
"""rad; recorded joints are in single precision."""
DRAWER = 0.04
"""m, at equal step."""
CONTACT_POLICIES = ("grasp", "near", "push")
"""Recorded policies that grasp or push an object."""
MOVED = 0.01
"""m: an object that ends farther away in a recording was touched."""
MAX_UNEQUAL_ENDS = 1 / 3
"""Share of such replays that may end differently: they depend on the last millimetre of a grasp."""
SETTLED = {"blue_plastic_bottle": (3e-3, 1.5), "orange": (None, None)}
"""Model -> tolerances (m, degrees) of its resting pose; None: reported only."""
SETTLED_ELSE = (5e-4, 0.8)


def compare(folder: Path, pack: Path) -> Iterator[Check]:
    """Checks of all recordings in a folder, with upstream's pack.

    Raises:
        SuiteError: a recording is not of this layout.
    """
    if (folder / "controller_cases.npz").is_file():
        yield from compare_controllers(folder / "controller_cases.npz", pack)
    if (folder / "settled_poses.json").is_file():
        yield from compare_settling(folder / "settled_poses.json", pack)
    ends = []
    for recording in recordings.read_all(folder):
        if recording.setup.configuration.is_widowx:
            yield from widowx.WidowXReplay(recording, pack).checks()
            continue
        replay = RecordingReplay(recording, pack)
        yield from replay.checks()
        if replay.has_contact:
            ends.append(replay.ends_equal)
    if ends:
        yield compare_ends(ends)


def compare_ends(ends: Sequence[bool]) -> Check:
    """Check of how many replays of policies with contact end as recorded."""
    equal = sum(ends)
    name, quantity = "grasp, carry and push replays", "share that ends differently"
    return Check(name, quantity, (len(ends) - equal) / len(ends), MAX_UNEQUAL_ENDS, f"{equal} of {len(ends)} equal")


def compare_controllers(path: Path, pack: Path) -> Iterator[Check]:
    """Checks of recorded inverse kinematics and plans."""
    with np.load(path, allow_pickle=False) as cases:
        recorded = {name: cases[name] for name in cases.files}
    if "seq_action" in recorded:
        yield from widowx.compare_controllers(recorded, pack)
        return
    scene = SimplerScene(pack, configurations()[0], CONTROL_SOLVER)
    robot = scene.add_robot()
    wrong, error = 0, 0.0
    for start, target, success, result in zip(
        *(recorded[f"ik_{name}"] for name in ("qpos", "target", "success", "result")), strict=True
    ):
        robot.place(RobotInit((0.0, 0.0)), start)
        solution, solved = robot.solve(as_pose(target))
        wrong += solved != bool(success)
        error = max(error, max_abs_difference(solution[ARM], result[ARM])) if success else error
    yield Check(path.stem, "inverse kinematics: different outcomes", float(wrong), 0.0, f"{len(recorded['ik_qpos'])} cases")
    yield Check(path.stem, "inverse kinematics: joints (rad)", error, IK_JOINTS)
    planner = MotionPlanner(9, velocity=1.5, acceleration=2.0, jerk=50.0)
    plans = [
        planner.plan(*map(np.ndarray.tolist, row))
        for row in zip(*(recorded[f"plan_{name}"] for name in ("start", "init_v", "target")), strict=True)
    ]
    yield Check(
        path.stem, "plans: positions (rad)", max_abs_difference([plan.position for plan in plans], recorded["plan_pos"]), 0.0
    )
    yield Check(
        path.stem, "plans: velocities (rad/s)", max_abs_difference([plan.velocity for plan in plans], recorded["plan_vel"]), 0.0
    )


def compare_settling(path: Path, pack: Path) -> Iterator[Check]:
    """Checks of recorded resting poses of dropped objects."""
    settler = ObjectSettler(pack)
    worst: dict[str, np.ndarray] = {}
    cases = json.loads(path.read_text(encoding="utf-8"))
    yield from widowx.compare_settling([case for case in cases if case["task"] in RECORDED_NAMES], pack)
    for case in cases:
        if case["task"] in RECORDED_NAMES:
            continue
        settled = settler.settle(_dropped(case))
        for pose, recorded in zip(settled.poses, case["objects"], strict=True):
            model = recorded["name"].removeprefix("baked_").removesuffix("_v2")
            error = np.array([np.linalg.norm(pose.p - recorded["p"]), angle_degrees(np.asarray(pose.q), recorded["q_wxyz"])])
            worst[model] = np.maximum(worst.get(model, 0.0), error)
    for model, (distance, angle) in worst.items():
        near, turned = SETTLED.get(model, SETTLED_ELSE)
        yield Check(f"settled {model}", "settled objects: position (m)", float(distance), near)
        yield Check(f"settled {model}", "settled objects: rotation (degrees)", float(angle), turned)


def _dropped(case: Mapping[str, Any]) -> EpisodeSetup:
    """A recorded drop as an episode; the scene is the default one."""
    try:
        base = next(
            c
            for c in configurations()
            if (c.task, c.env_id) == (case["task"], case["env_id"])
            and case.get("orientation") in (None, c.subtask)
            and case.get("setting") in (None, c.setting)
        )
    except StopIteration:
        raise SuiteError(
            f"{case['env_id']} of settled_poses.json not found in the grid. Layout: docs/evidence/simplerenv_parity.md"
        ) from None
    xy = case.get("init_xy")
    return EpisodeSetup(base, base.robot_init[0], xy and (xy[0], xy[1]), case.get("episode_id"))


class RecordingReplay:
    """Replay of one recording: its actions from its start."""

    def __init__(self, recording: Recording, pack: Path) -> None:
        self.recording, self.arrays = recording, recording.arrays
        order = [recording.facts["robot_joint_names"].index(name) for name in JOINTS]
        self._qpos = np.asarray(self.arrays["qpos"], np.float64)[:, order]
        physics = PhysicsScene(pack, recording.setup, self._start(), self._qpos[0])
        rows = [self._step(physics, action) for action in np.asarray(self.arrays["actions"], np.float64)]
        self.qpos, self.effector, self.drawers, self.free, self.ik, self.done = map(np.array, zip(*rows, strict=True))

    def _start(self) -> SettledObjects:
        shape = (len(self.recording.facts["object_names"]), 7)
        poses = np.reshape(self.arrays["obj_pose_world"][0], shape) if shape[0] else ()
        speeds = self.arrays["obj_vel"][0] if shape[0] else ()
        return SettledObjects(tuple(map(as_pose, poses)), tuple(map(np.asarray, speeds)))

    def _step(self, physics: PhysicsScene, action: np.ndarray) -> tuple[Any, ...]:
        done = physics.step(action)
        assert physics.drive is not None
        drawers = physics.scene.cabinet.qpos() if physics.scene.cabinet else np.zeros(3)
        return (
            physics.robot.qpos(),
            physics.robot.end_effector().p,
            drawers,
            not _touched(physics.scene),
            physics.drive.ik_success,
            done,
        )

    def _gripper(self) -> float:
        """Largest difference of the finger targets, from the recorded joints."""
        order = [self.recording.facts["robot_joint_names"].index(JOINTS[index]) for index in FINGERS]
        at, moving = (np.asarray(self.arrays[name], np.float64)[:, order] for name in ("qpos", "qvel"))
        gripper, targets = GripperController(at[0]), []
        for row, action in enumerate(np.asarray(self.arrays["actions"], np.float64)):
            targets.append(gripper.target(action[6]))
            gripper.plan(at[row], moving[row], targets[-1])
        return max_abs_difference(targets, self.arrays["gripper_target_qpos"])

    @property
    def has_contact(self) -> bool:
        """Whether the recorded policy grasps or pushes an object; at the drawers, whether it moves one."""
        if self.recording.facts["cabinet_joint_names"]:
            places = np.asarray(self.arrays.get("obj_pose_world", np.zeros((2, 0, 7))))[..., :3]
            return bool((np.linalg.norm(places[-1] - places[0], axis=-1) > MOVED).any())
        return self.recording.facts.get("policy", "").split("_")[0] in CONTACT_POLICIES

    @property
    def ends_equal(self) -> bool:
        """Whether the last step succeeds or fails as recorded."""
        return bool(self.done[-1]) == bool(self.arrays["terminated"][-1])

    def checks(self) -> Iterator[Check]:
        """Checks of this recording."""
        name, facts = self.recording.name, self.recording.facts
        crowded = len(objects(self.recording.setup).placements) > 3
        other = float((self.ik != self.arrays["ik_success"]).sum())
        yield Check(name, "inverse kinematics along the replay: different outcomes", other, None if crowded else 0.0)
        yield Check(name, "gripper rule on the recorded joints (rad)", self._gripper(), GRIPPER)
        free = min(FREE_STEPS, int(np.argmin([*self.free, False])) - 1)
        if free > 0:
            recorded = self._qpos[1 : free + 1][:, ARM], self.arrays["tcp_pose_base"][1 : free + 1, :3]
            yield Check(
                name,
                "free motion: joints (rad)",
                max_abs_difference(self.qpos[:free][:, ARM], recorded[0]),
                FREE_JOINTS,
                f"{free} steps",
            )
            apart = np.linalg.norm(self.effector[:free] - recorded[1], axis=1)
            yield Check(name, "free motion: end effector (m)", float(apart.max()), FREE_EFFECTOR, f"{free} steps")
        if facts["cabinet_joint_names"]:
            yield Check(
                name, "drawers at equal step (m)", max_abs_difference(self.drawers, self.arrays["cabinet_qpos"][1:]), DRAWER
            )
        judged = 0.0 if facts["cabinet_joint_names"] and not self.has_contact else None
        yield Check(name, "final success: differs", float(not self.ends_equal), judged)


def _touched(scene: SimplerScene) -> bool:
    """Whether any part of the robot touches anything, itself included."""
    assert scene.robot is not None
    links = set(scene.robot.links)
    return any({contact.first, contact.second} & links and np.linalg.norm(contact.impulse) > 0 for contact in scene.contacts())

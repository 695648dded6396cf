"""Upstream's Google robot: its joints, drives and contact materials, and its URDF built into a physics scene.

Facts: ManiSkill2_real2sim ef7a4d4f, agents/configs/google_robot. Radians, metres, N m; JOINTS order everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import sapien

from ..grid import BASE_HEIGHT
from .base_robot import BaseRobot, RobotModel
from .kinematics import Kinematics
from .solver import CONTROL_SOLVER
from .timing import PHYSICS_HZ
from .urdf import PhysicsLoader

_JOINTS: tuple[tuple[str, float, float, float, float], ...] = (
    ("joint_torso", -0.2639457174606611, 1700.0, 1059.9791902443303, 300.0),
    ("joint_shoulder", 0.0831913360274175, 1737.0471680861954, 1010.4720585373592, 300.0),
    ("joint_bicep", 0.5017611504652179, 979.975871856535, 767.2803161582076, 100.0),
    ("joint_elbow", 1.156859026208673, 930.0, 680.0, 100.0),
    ("joint_forearm", 0.028583671314766423, 1212.154500274304, 674.9946964336588, 100.0),
    ("joint_wrist", 1.592598203487462, 432.96500923932535, 274.613381336198, 100.0),
    ("joint_gripper", -1.080652960128774, 468.0013365498738, 340.532560578637, 100.0),
    ("joint_finger_right", 0.0, 200.0, 8.0, 60.0),
    ("joint_finger_left", 0.0, 200.0, 8.0, 60.0),
    ("joint_head_pan", -0.00285961, 2000.0, 900.0, 100.0),
    ("joint_head_tilt", 0.7851361, 2000.0, 900.0, 100.0),
)
"""Name, position at reset (rad), and the drive's stiffness, damping and force limit of each joint."""
JOINTS, START, STIFFNESS, DAMPING, FORCE_LIMIT = zip(*_JOINTS, strict=True)
ARM = [0, 1, 2, 3, 4, 5, 6, 9, 10]
"""Joints of the arm's controller, the head's two included."""
FINGERS = [7, 8]
HEAD_TILT = 10
HEAD_TILTS = {"AltGoogleCameraInScene": 0.9351361, "AltGoogleCamera2InScene": 0.6651361}
"""Part of an environment's id -> tilt of the head (rad)."""
FINGER_ARMATURE = 3e-3
"""kg m2 added to the two finger joints, which chatter in PhysX 5 otherwise (docs/evidence/simplerenv_parity.md)."""
LAG = (1 - 1 / CONTROL_SOLVER.iterations) / (2 * PHYSICS_HZ)
"""s. Upstream's PhysX 4 evaluated a drive's spring at the joint's position at the end of a physics step, PhysX 5's TGS at the
positions on the way, on average half a step earlier; stiffness times this, added to the damping, compensates."""
FINGER_RESPONSE = 6263.0
"""1/(kg m2): angular speed of a finger joint per unit of angular impulse, without armature: the inverse of the inertia of finger
and tip at the joint, 5970 to 6320 for the robot's masses, depending on the fingers' angles."""
LIGHT, LIGHT_INERTIA = 1e-3, 1e-8
"""Links below this mass (kg: sensor frames, nails) had at most this inertia (kg m2) upstream; SAPIEN 3 gives them 1e-6."""
END_EFFECTOR = "link_gripper_tcp"


def _finger_drive() -> tuple[float, float]:
    """Part of its nominal torque that a blocked finger drive delivers upstream; factor of the gains that makes it the same here.

    Both engines add, per TGS iteration of h seconds, the impulse x (K error + D speed error) h with x = 1 / (1 + a u),
    a = h (h K + D) and u the joint's response to a unit impulse. For a joint that moves, x is how an implicit step gets its
    stability; where an object blocks the joint, x is simply missing from the force. Upstream's fingers (no armature) deliver
    x = 0.20 of the nominal torque; here FINGER_ARMATURE would raise that to 0.83, a grip four times as hard for the same error of
    angle. K and D are therefore multiplied by s with s / (1 + s a u_here) = 1 / (1 + a u). A free finger hardly notices: its
    motion depends on the ratio of K and D.
    """
    h = 1 / (PHYSICS_HZ * CONTROL_SOLVER.iterations)
    finger = FINGERS[0]
    a = h * (h * STIFFNESS[finger] + DAMPING[finger])
    response = 1 / (1 / FINGER_RESPONSE + FINGER_ARMATURE)
    return 1 / (1 + a * FINGER_RESPONSE), 1 / (1 + a * (FINGER_RESPONSE - response))


BLOCKED_DRIVE, FINGER_GAINS = _finger_drive()
_FINGER, _NAIL, _WHEEL = (2.0, 2.0, 0.1), (0.1, 0.1, 0.01), (1.0, 0.0, 0.1)
CONTACT = {
    "link_base": (0.1, 0.0, 0.1),
    "link_wheel_left": _WHEEL,
    "link_wheel_right": _WHEEL,
    "link_finger_left": _FINGER,
    "link_finger_right": _FINGER,
    "link_finger_tip_left": _FINGER,
    "link_finger_tip_right": _FINGER,
    "link_finger_nail_left": _NAIL,
    "link_finger_nail_right": _NAIL,
}
"""Link -> static friction, dynamic friction, torsional patch radius (m); other links have the scene's default."""


def read_robot(
    urdf: Path, joints: Sequence[str], contact: Mapping[str, tuple[float, float, float]], end_effector: str
) -> RobotModel:
    """Robot model of a URDF, without visuals.

    Args:
        urdf: the description.
        joints: names in upstream's order.
        contact: link -> static friction, dynamic friction, torsional patch radius (m); other links have the scene's default.
        end_effector: link that inverse kinematics position.
    """
    loader = PhysicsLoader()
    for link, (static, dynamic, patch) in contact.items():
        loader.set_link_material(link, static, dynamic, 0.0)
        loader.set_link_patch_radius(link, patch)
        loader.set_link_min_patch_radius(link, patch)
    builder = loader.load_file_as_articulation_builder(str(urdf))
    articulation = builder.set_scene(sapien.Scene([sapien.physx.PhysxCpuSystem()])).build()
    order = np.array([joints.index(joint.name) for joint in articulation.active_joints])
    return RobotModel(builder, Kinematics(articulation, end_effector), order)


@cache
def load_robot(urdf: Path) -> RobotModel:
    """Robot model of a URDF, without visuals."""
    return read_robot(urdf, JOINTS, CONTACT, END_EFFECTOR)


class Robot(BaseRobot):
    """One robot in one scene, at its start position, without drive targets; arrays have 11 numbers."""

    joints, fingers, end_effector_link = JOINTS, FINGERS, END_EFFECTOR
    arm = ARM

    def __init__(self, model: RobotModel, scene: sapien.Scene) -> None:
        super().__init__(model, scene, BASE_HEIGHT)
        for index, joint in enumerate(self._joints):
            gains = FINGER_GAINS if index in FINGERS else 1.0
            damping = DAMPING[index] + LAG * STIFFNESS[index]
            joint.set_drive_property(gains * STIFFNESS[index], gains * damping, FORCE_LIMIT[index], "force")
            joint.set_friction(0.0)
        for link in self.links.values():
            if link.mass < LIGHT:
                link.inertia = [LIGHT_INERTIA] * 3
        for index in FINGERS:
            self._joints[index].set_armature(np.array([FINGER_ARMATURE], np.float32))

    def target_setters(self) -> list[Any]:
        """One function per joint that sets its drive's position target (rad)."""
        return [joint.set_drive_target for joint in self._joints]

    def finger_speed_setters(self) -> list[Any]:
        """One function per finger that sets its drive's velocity target (float32 array of one number, rad/s)."""
        return [self._joints[index].set_drive_velocity_target for index in FINGERS]

    @property
    def finger_speed_scale(self) -> float:
        """Factor of velocity targets, so that they act through upstream's damping alone, not through the part added by LAG."""
        finger = FINGERS[0]
        return DAMPING[finger] / (DAMPING[finger] + LAG * STIFFNESS[finger])

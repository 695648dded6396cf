"""Drawers, doors and knobs: where a gripper takes them, and how they go.

Everything is read from collision shapes and joints: a drawer's bar is its foremost part, a door's edge its top, a
knob's ridge the narrowest way across it.
"""

from __future__ import annotations

import math

import numpy as np

from .geometry import DOWN, UP, Array, Pose, exp, flat, frame
from .gripper import FINGER_HALF, PAD_BEHIND, TIP
from .scene import Joint, LiberoScene

PULL_LEAN, PUSH_LEAN = 1.22, 0.79
"""Angles at which the gripper leans towards a drawer: from above, its body would meet the cabinet, rad."""
DOOR_GRIP, DOOR_DEPTH, DOOR_LEAD = 0.17, 0.020, 0.35
"""A door is pushed this far from its hinge, the tips this far below its top (m), aiming this far ahead of it (rad)."""
KNOB_LEAD = 0.5
"""The gripper leads a knob by this angle, rad."""


def opening_way(scene: LiberoScene, joint: Joint) -> Array:
    """Horizontal direction in which a drawer opens."""
    return -flat(scene.joint_pose(joint).rotation @ joint.axis)


def _bar(scene: LiberoScene, joint: Joint) -> tuple[Array, float]:
    """Centre of a drawer's bar and half its thickness along the way it opens."""
    boxes, way = scene.body_boxes(joint.body), opening_way(scene, joint)
    bar = boxes.select(np.array([int(np.argmax(boxes.center @ way))]))
    return bar.center[0], float(np.abs((bar.corners()[0] - bar.center[0]) @ way).max())


def pull_pose(scene: LiberoScene, joint: Joint) -> Pose:
    """The gripper on a drawer's bar, one finger above it and one below."""
    way, (center, _) = opening_way(scene, joint), _bar(scene, joint)
    approach = _leaned(-way, PULL_LEAN)
    return Pose(center + PAD_BEHIND * approach, frame(approach, UP))


def push_pose(scene: LiberoScene, joint: Joint) -> Pose:
    """Closed fingers at the front of a drawer's bar, the gripper's body held away from the drawers above."""
    way, (center, half) = opening_way(scene, joint), _bar(scene, joint)
    ahead = TIP * math.sin(PUSH_LEAN) + FINGER_HALF * math.cos(PUSH_LEAN)
    return Pose(center + (half + ahead) * way, frame(_leaned(-way, PUSH_LEAN), np.cross(UP, way)))


def _leaned(towards: Array, lean: float) -> Array:
    return math.sin(lean) * towards + math.cos(lean) * DOWN


def door_pose(scene: LiberoScene, joint: Joint, lead: float = DOOR_LEAD, *, inside: bool = False) -> Pose:
    """Closed fingers at a door's outside or inside, `lead` radians towards its closed end from where it stands."""
    hinge, boxes = scene.joint_pose(joint), scene.body_boxes(joint.body)
    panel = int(np.argmax(boxes.half.max(1)))
    top = float(boxes.corners()[panel][:, 2].max())
    inward = hinge.rotation.T @ (boxes.corners()[panel] - hinge.position).T
    face = float(inward[1].max()) + FINGER_HALF if inside else float(inward[1].min()) - FINGER_HALF
    ahead = exp(lead * (hinge.rotation @ joint.axis))
    position = hinge.position + ahead @ (hinge.rotation @ np.array([DOOR_GRIP, face, 0.0]))
    along = ahead @ hinge.rotation[:, 0]
    return Pose(np.array([position[0], position[1], top - DOOR_DEPTH + TIP]), frame(DOWN, along))


def handle_pose(scene: LiberoScene, joint: Joint) -> Pose:
    """The gripper on a door's upright handle, a finger on either side; the handle turns between them."""
    outward = -scene.joint_pose(joint).rotation[:, 1]
    boxes, approach = scene.body_boxes(joint.body), _leaned(-outward, PULL_LEAN)
    center = boxes.center[int(np.argmax(boxes.center @ outward))]
    return Pose(center + PAD_BEHIND * approach, frame(approach, np.cross(UP, outward)))


def turned_about(scene: LiberoScene, joint: Joint, pose: Pose, angle: float) -> Pose:
    """A gripper pose carried round a joint's axis by an angle."""
    stand = scene.joint_pose(joint)
    turn = exp(angle * (stand.rotation @ joint.axis))
    return Pose(stand.position + turn @ (pose.position - stand.position), turn @ pose.rotation)

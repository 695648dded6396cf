"""The station's drawers: how the closed fingers hook one open from behind its front, or push it shut.

Handles are only to be seen; a drawer moves by its front plate. The plates leave gaps of 10 cm above them, through
which the gripper reaches in, leaned far forward.
"""

from __future__ import annotations

import numpy as np

from ..geometry import DOWN, Array, Pose, frame
from .gripper import flip_wrist_if_closer
from .scene import GoogleRobotScene

FRONT = np.array([0.010, 0.0])
"""Level position (x, y) of a closed drawer's front plate, world, m; a drawer slides along +x."""
HEIGHTS = (0.685, 0.440, 0.195)
"""World z of the middle of the fronts: top, middle, bottom drawer, m."""
HALF_HEIGHT, HALF_DEPTH = 0.070, 0.0075
"""Of a front plate, m."""
HOOK_LEAN, PUSH_LEAN = 0.9, 0.4
"""Of the gripper from straight down towards the drawers, rad: reaching in over a front; pushing without folding the arm."""
HOOK_IN, HOOK_DOWN = 0.072, 0.030
"""The gripper's origin behind the middle of the front plate and below its top edge: the fingers' knuckles then lie on the
edge, and the tips reach 4 cm down behind the plate, m."""
TIP_HALF = 0.021
"""Half thickness of the fingertips across the closing axis, m."""
ASIDE = 0.6
"""Part of the robot's own sideways offset at which the gripper meets the front."""
WIDEST = 0.15
"""Farthest from the drawer's middle, m."""
OUT = np.array([-1.0, 0.0, 0.0])
"""From the robot towards the station."""


def hook_pose(scene: GoogleRobotScene) -> Pose:
    """The gripper with its fingertips behind the top edge of a closed front."""
    edge = HEIGHTS[scene.drawer] + HALF_HEIGHT
    return _pose(scene, FRONT[0] - HOOK_IN, edge - HOOK_DOWN, HOOK_LEAN)


def push_pose(scene: GoogleRobotScene) -> Pose:
    """The gripper with its fingertips at the front plate, where the drawer is now."""
    return _pose(scene, FRONT[0] + HALF_DEPTH + TIP_HALF + scene.travel, HEIGHTS[scene.drawer], PUSH_LEAN)


def _pose(scene: GoogleRobotScene, x: float, z: float, lean: float) -> Pose:
    y = float(np.clip(ASIDE * scene.base.position[1], -WIDEST, WIDEST))
    return Pose(np.array([x, y, z]), _rotation(lean))


def _rotation(lean: float) -> Array:
    rotation = frame(np.cos(lean) * DOWN + np.sin(lean) * OUT, np.array([0.0, 1.0, 0.0]))
    return flip_wrist_if_closer(rotation, OUT)

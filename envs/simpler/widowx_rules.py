"""Success rule of the WidowX tasks: a pure function of the scene after each control step.

Facts: ManiSkill2_real2sim ef7a4d4f, `put_on_in_scene.py`. Metres, newton seconds; world frame; stays within Python 3.10.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..rotations import Array, rotate
from .contacts import GRASP_STEPS, IMPULSE, Contact, Snapshot, angle_between, impulse_on
from .grid import EpisodeSetup
from .widowx_tasks import FINGERS, TASKS

LINKS = frozenset(
    {
        *("base_link", "shoulder_link", "upper_arm_link", "upper_forearm_link", "lower_forearm_link", "wrist_link"),
        *("gripper_link", "ee_arm_link", "gripper_prop_link", "gripper_bar_link", "fingers_link"),
        *("left_finger_link", "right_finger_link", "ee_gripper_link"),
    }
)
"""The robot's links."""
GRASP_ANGLE = np.deg2rad(60.0)
"""Largest angle between a finger's push and its opening direction."""
SIZES = {
    "bridge_spoon_generated_modified": (0.14, 0.0346, 0.026042),
    "table_cloth_generated_shorter": (0.10, 0.10, 0.010),
    "bridge_carrot_generated_modified": (0.115, 0.032, 0.038),
    "bridge_plate_objaverse_larger": (0.11, 0.11, 0.006),
    "baked_green_cube_3cm": (0.03, 0.03, 0.03),
    "baked_yellow_cube_3cm": (0.03, 0.03, 0.03),
    "eggplant": (0.0783, 0.0374, 0.038),
    "dummy_sink_target_plane": (0.13, 0.08, 0.002),
}
"""Boxes of upstream's model databases, which differ from the meshes."""
MOVED = 0.03
"""Way (m) from which an object counts as moved."""
SIDEWAYS = 0.003
"""Added to the target's half diagonal, the largest level distance of the centres of mass."""


class WidowXRule:
    """The source is on the target, held or not. See `SuccessRule` for the contract.

    Upstream compares the *diagonals* of the database's boxes, turned with the objects' settled poses: their components may be
    negative, so the largest height differs by up to 5 cm between episodes of the eggplant.
    """

    def __init__(self, setup: EpisodeSetup, settled: Snapshot) -> None:
        self.task = TASKS[setup.configuration.task]
        self.start = settled.poses[:, :3]
        boxes = [SIZES[self.task.source], SIZES[self.task.target]]
        diagonals = [rotate(pose[3:], np.array(size)) for pose, size in zip(settled.poses, boxes, strict=True)]
        source, target = diagonals[0] / 2, diagonals[1] / 2
        self.reach = float(np.linalg.norm(target[:2])) + SIDEWAYS
        self.top = float(source[2] + target[2]) + self.task.above
        self.held = 0
        self.grasped = self.grasped_ever = self.consecutive_ever = False
        self.moved_correct = self.moved_wrong = self.on_target = False

    def step(self, now: Snapshot) -> bool:
        own = float(np.linalg.norm(now.centres[0, :2] - self.start[0, :2]))  # centre of mass from origin, as upstream mixes them
        other = float(np.linalg.norm(now.poses[1, :2] - self.start[1, :2]))
        self.moved_correct = own > MOVED and own > other
        self.moved_wrong = other > MOVED and other > own
        self.grasped = is_grasped(self.task.source, now)
        self.held = self.held + 1 if self.grasped else 0
        self.grasped_ever |= self.grasped
        self.consecutive_ever |= self.held >= GRASP_STEPS
        self.on_target = self._above(now.centres[0] - now.centres[1]) and (
            not self.task.free_source or touches_only(self.task.source, {self.task.target, *LINKS}, now.contacts)
        )
        return self.on_target

    def _above(self, offset: Array) -> bool:
        """Whether the source's centre of mass, at `offset` from the target's, is over the target."""
        return bool(np.linalg.norm(offset[:2]) <= self.reach and 0 < offset[2] <= self.top)

    def facts(self) -> dict[str, Any]:
        return {
            "moved_correct_obj": self.moved_correct,
            "moved_wrong_obj": self.moved_wrong,
            "is_src_obj_grasped": self.grasped,
            "consecutive_grasp": self.held >= GRASP_STEPS,
            "src_on_target": self.on_target,
            "success": self.on_target,
        }

    def statistics(self) -> dict[str, Any]:
        return {
            "moved_correct_obj": self.moved_correct,
            "moved_wrong_obj": self.moved_wrong,
            "is_src_obj_grasped": self.grasped_ever,
            "consecutive_grasp": self.consecutive_ever,
            "src_on_target": self.on_target,
        }


def is_grasped(name: str, now: Snapshot) -> bool:
    """Whether both fingers push on the object, each within GRASP_ANGLE of its opening direction."""
    impulses = {link: impulse_on(link, name, now.contacts) for link in FINGERS}
    return all(
        np.linalg.norm(impulse) >= IMPULSE and angle_between(impulse, now.openings[link]) <= GRASP_ANGLE
        for link, impulse in impulses.items()
    )


def touches_only(name: str, allowed: set[str], contacts: Sequence[Contact]) -> bool:
    """Whether the object touches nothing but bodies of those names."""
    for contact in contacts:
        if name in (contact.first, contact.second):
            other = contact.second if contact.first == name else contact.first
            if other not in allowed and np.linalg.norm(contact.impulse) > IMPULSE:
                return False
    return True

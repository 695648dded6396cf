"""Success rules of SimplerEnv's Google-robot tasks: pure functions of the scene after each control step.

A rule starts from the settled scene and receives the `Snapshot` of every control step, from a simulation or a recording.
Facts: ManiSkill2_real2sim ef7a4d4f. Metres, newton seconds; world frame; stays within Python 3.10.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ..rotations import Array, rotate
from .contacts import GRASP_STEPS, IMPULSE, SIDES, Contact, Snapshot, angle_between, impulse_on
from .grid import EpisodeSetup
from .placements import instruction, objects, second_instruction

GRASP_ANGLE = np.deg2rad(80.0)
"""Largest angle between a finger's push and its opening direction."""
LIFTED, LIFTED_FAR = 0.01, 0.02
"""Rise of the can that counts as lifted, and as lifted significantly."""
SIGNIFICANT_STEPS = 5
"""Significantly lifted steps after which the success is permanent."""
OPEN, CLOSED = 0.15, 0.05
"""Travel from which a drawer is open, and up to which it is closed."""
PLACED_OPEN = 0.05
"""Least travel of the drawer with an object placed in it."""
DRAWER_BOTTOM = 2
"""Collision shape of a drawer that is its bottom inside."""
FIRST_SUBTASK_STEPS = 100
"""Control steps after which the task of placing an object in a drawer changes from opening to placing."""
ROBOT_PREFIX = "link_"
"""Prefix of the robot's links that can be in contact."""
HALF_BOXES = {
    "blue_plastic_bottle": (0.03005, 0.1015, 0.03025),
    "apple": (0.04, 0.04, 0.04),
    "orange": (0.035, 0.035, 0.034),
    "sponge": (0.035, 0.05, 0.018),
    "opened_redbull_can": (0.02925, 0.086, 0.02925),
    **dict.fromkeys(("opened_7up_can", "opened_coke_can", "opened_pepsi_can"), (0.033, 0.0615, 0.033)),
}
"""Half sizes of the boxes in upstream's model database, which differ from the meshes (redbull is 4 cm too high)."""


class SuccessRule(Protocol):
    """Success rule of one episode."""

    def step(self, now: Snapshot) -> bool:
        """Whether the task succeeds after this control step."""
        ...

    def facts(self) -> dict[str, Any]:
        """Entries of upstream's `info` for the last step."""
        ...

    def statistics(self) -> dict[str, Any]:
        """Entries of upstream's `episode_stats` for the episode so far."""
        ...


def make_rule(setup: EpisodeSetup, settled: Snapshot) -> SuccessRule:
    """Rule of an episode, started from the settled scene. Raises KeyError for a task without a rule."""
    task = setup.configuration.task
    makers: dict[str, Callable[[], SuccessRule]] = {
        "pick_coke_can": lambda: PickRule(settled),
        "move_near": lambda: _move_near(setup, settled),
        "open_drawer": lambda: DrawerRule(setup.configuration.subtask, opens=True),
        "close_drawer": lambda: DrawerRule(setup.configuration.subtask, opens=False),
        "place_apple_in_closed_top_drawer": lambda: PlaceRule(
            objects(setup).placements[0].model, setup.configuration.subtask, instruction(setup), second_instruction(setup)
        ),
    }
    return makers[task]()


def current_instruction(rule: SuccessRule) -> str:
    """The instruction after the last step, of tasks that change it in mid-episode; else empty."""
    return rule.current_instruction if isinstance(rule, PlaceRule) else ""


def measures(rule: SuccessRule) -> dict[str, bool]:
    """Boolean statistics of an episode, for its record."""
    return {name: bool(value) for name, value in rule.statistics().items() if isinstance(value, bool | np.bool_)}


def is_grasped(name: str, contacts: Sequence[Contact], openings: Mapping[str, Array]) -> bool:
    """Whether both fingers push on the object, each against its opening direction."""
    return all(_pushes(name, links, contacts, openings) for links in SIDES.values())


def _pushes(name: str, links: Sequence[str], contacts: Sequence[Contact], openings: Mapping[str, Array]) -> bool:
    """The stronger link of a side decides whether it touches, the better aligned one whether it holds."""
    impulses = [impulse_on(link, name, contacts) for link in links]
    strongest = max(float(np.linalg.norm(impulse)) for impulse in impulses)
    angles = [angle_between(impulse, openings[link]) for link, impulse in zip(links, impulses, strict=True)]
    return strongest >= IMPULSE and min(angles) <= GRASP_ANGLE


def is_free(name: str, contacts: Sequence[Contact]) -> bool:
    """Whether the object touches nothing but the robot."""
    for contact in contacts:
        if name in (contact.first, contact.second):
            other = contact.second if contact.first == name else contact.first
            if not other.startswith(ROBOT_PREFIX) and np.linalg.norm(contact.impulse) > IMPULSE:
                return False
    return True


class PickRule:
    """The can is held in the air, or was lifted significantly for some steps. See `SuccessRule` for the contract."""

    name = "opened_coke_can"

    def __init__(self, settled: Snapshot) -> None:
        self.height = float(settled.poses[0, 2])
        self.held = 0
        self.grasped = self.grasped_ever = self.consecutive_ever = self.lifted = self.significant = False
        self.significant_steps = 0

    def step(self, now: Snapshot) -> bool:
        self.grasped = is_grasped(self.name, now.contacts, now.openings)
        self.held = self.held + 1 if self.grasped else 0
        self.lifted = self.lifted and self.grasped  # may become true again below: a balanced or thrown can counts
        rise = float(now.poses[0, 2]) - self.height
        self.lifted = self.lifted or (rise > LIFTED and is_free(self.name, now.contacts))
        self.significant = self.lifted and rise > LIFTED_FAR
        self.significant_steps += self.significant
        self.grasped_ever |= self.grasped
        self.consecutive_ever |= self.held >= GRASP_STEPS
        return self._success()

    def _success(self) -> bool:
        return self.lifted or self.significant_steps >= SIGNIFICANT_STEPS

    def facts(self) -> dict[str, Any]:
        return {
            "is_grasped": self.grasped,
            "consecutive_grasp": self.held >= GRASP_STEPS,
            "lifted_object": self.lifted,
            "lifted_object_significantly": self.significant,
            "success": self._success(),
        }

    def statistics(self) -> dict[str, Any]:
        return {
            "n_lift_significant": self.significant_steps,
            "consec_grasp": self.consecutive_ever,
            "grasped": self.grasped_ever,
        }


def _move_near(setup: EpisodeSetup, settled: Snapshot) -> MoveNearRule:
    placed = objects(setup)
    assert placed.source is not None and placed.target is not None
    boxes = [HALF_BOXES[placement.model.removeprefix("baked_").removesuffix("_v2")] for placement in placed.placements]
    return MoveNearRule(settled, np.array(boxes), placed.source, placed.target)


class MoveNearRule:
    """The source moved most, is near the target and nearer to it than to anything else; nothing fell.

    See `SuccessRule` for the contract.
    """

    MOVED = 0.03
    NEAR = 0.10
    CLOSEST = 0.01
    FALLEN, SUNK = 0.02, 0.15

    def __init__(self, settled: Snapshot, half_boxes: Array, source: int, target: int) -> None:
        self.start = settled.poses[:, :3]
        self.source, self.target = source, target
        turned = [rotate(pose[3:], 2 * half) for pose, half in zip(settled.poses, half_boxes, strict=True)]
        self.radii = np.linalg.norm(np.array(turned)[:, :2], axis=1) / 2
        self.others = [index for index in range(len(self.start)) if index != source]
        self._facts: dict[str, Any] = {}

    def for_pair(self, source: int, target: int) -> MoveNearRule:
        """The rule of another pair of objects, from the same settled scene."""
        other = copy.copy(self)
        other.source, other.target = source, target
        other.others = [index for index in range(len(self.start)) if index != source]
        return other

    def step(self, now: Snapshot) -> bool:
        moved = np.linalg.norm(now.poses[:, :2] - self.start[:, :2], axis=1)
        own, wrong = moved[self.source], moved[self.others]
        gap = float(np.linalg.norm(now.centres[self.source, :2] - now.centres[self.target, :2]))
        away = np.linalg.norm(now.centres[self.source, :2] - now.poses[self.others, :2], axis=1)
        self._facts = {
            "all_obj_keep_height": self._keep_height(now),
            "moved_correct_obj": bool(own > self.MOVED and (wrong < own).all()),
            "moved_wrong_obj": bool((wrong > self.MOVED).any() and (wrong > own).any()),
            "near_tgt_obj": gap < float(self.radii[self.source] + self.radii[self.target] + self.NEAR),
            "is_closest_to_tgt": bool((gap < away + self.CLOSEST).all()),
        }
        return self._success()

    def _keep_height(self, now: Snapshot) -> bool:
        pair = [self.source, self.target]
        bystanders = [index for index in self.others if index != self.target]
        fell = self.start[bystanders, 2] - now.poses[bystanders, 2]
        sank = self.start[pair, 2] - now.centres[pair, 2]  # centre of mass against origin, as upstream mixes them
        return bool((fell < self.FALLEN).all() and (sank < self.SUNK).all())

    def _success(self) -> bool:
        return all(self._facts[name] for name in self._facts if name != "moved_wrong_obj")

    def facts(self) -> dict[str, Any]:
        return {**self._facts, "success": self._success()}

    def statistics(self) -> dict[str, Any]:
        return dict(self._facts)


class DrawerRule:
    """The drawer is currently open, or closed. See `SuccessRule` for the contract."""

    def __init__(self, drawer: str, *, opens: bool) -> None:
        self.drawer, self.opens = drawer, opens
        self.travel = 0.0

    def step(self, now: Snapshot) -> bool:
        self.travel = float(now.drawers[self.drawer])
        return self._success()

    def _success(self) -> bool:
        return self.travel >= OPEN if self.opens else self.travel <= CLOSED

    def facts(self) -> dict[str, Any]:
        return {"qpos": self.travel, "success": self._success()}

    def statistics(self) -> dict[str, Any]:
        return {"qpos": f"{self.travel:.3f}"}


class PlaceRule:
    """The object has touched the bottom of the drawer, which is open, in the second part of the episode.

    The first part asks to open the drawer. A step that begins after FIRST_SUBTASK_STEPS others belongs to the second; upstream
    also lets a policy end the first part itself, which no protocol here does. Contact counts in either part
    and for good; that the drawer was ever open is only reported. See `SuccessRule` for the contract.
    """

    def __init__(self, model: str, drawer: str, opening: str, placing: str) -> None:
        self.model, self.drawer, self.link = model, drawer, f"{drawer}_drawer"
        self.instructions = opening, placing
        self.steps = self.contact_steps = 0
        self.travel, self.opened_ever, self.success = 0.0, False, False
        self._ended = False

    def end_first_part(self) -> None:
        """Let the second part begin with the next step, as a policy can that reports the end of the first."""
        self._ended = True

    @property
    def subtask(self) -> int:
        """0 while the drawer is to be opened, then 1."""
        return int(self._ended or self.steps > FIRST_SUBTASK_STEPS)

    @property
    def current_instruction(self) -> str:
        """Instruction of the present part."""
        return self.instructions[self.subtask]

    def step(self, now: Snapshot) -> bool:
        self.steps += 1
        self.travel = float(now.drawers[self.drawer])
        self.opened_ever |= self.travel >= OPEN
        self.contact_steps += self._touches_bottom(now.contacts)
        self.success = self.subtask == 1 and self.travel >= PLACED_OPEN and self.contact_steps >= 1
        return self.success

    def _touches_bottom(self, contacts: Sequence[Contact]) -> bool:
        """Upstream counts the pair only with the object as its first body, which is the order that its engine gives."""
        bottom = [contact for contact in contacts if contact.part == DRAWER_BOTTOM]
        return bool(np.linalg.norm(impulse_on(self.model, self.link, bottom)) > IMPULSE)

    def facts(self) -> dict[str, Any]:
        return {"success": self.success, "subtask": self.subtask}

    def statistics(self) -> dict[str, Any]:
        return {"qpos": self.travel, "is_drawer_open": self.opened_ever, "has_contact": self.contact_steps}

"""Success rules compared with recordings: every flag of every recorded step, from the recorded poses alone.

Contacts are recorded for the WidowX only. In pick coke can the recorded grasp and lift flags replace them, in place apple the
recorded count of contacts, and the checks cover what the rule derives from them: counters, latches, heights, parts of the
episode, success.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...parity import Check
from ...rotations import rotate
from ..contacts import SIDES, Contact, Snapshot
from ..recordings import Recording, centres_of_mass, read_all
from ..rules import DRAWER_BOTTOM, PickRule, PlaceRule, make_rule
from ..widowx_rules import WidowXRule
from ..widowx_tasks import RECORDED_NAMES
from . import rules_widowx

TOUCH = np.array([0.0, 1e-3, 0.0])
"""A clear push along +y (N s)."""
OPENINGS = dict.fromkeys((link for links in SIDES.values() for link in links), np.array([0.0, 1.0, 0.0]))


def compare(folder: Path) -> Iterator[Check]:
    """Checks of the rules for every recording of a folder."""
    centres = centres_of_mass(folder)
    for recording in read_all(folder):
        yield from compare_one(recording, centres)


def compare_one(recording: Recording, centres: Mapping[str, np.ndarray]) -> Iterator[Check]:
    """Checks of one recording: flags that differ at any step, and the final statistics.

    Args:
        recording: an episode of a task that has a rule.
        centres: model -> centre of mass in its own frame (m); needed by move near.
    """
    lacking = [name for name in recording.facts["object_names"] if name not in centres]
    if recording.facts["task"] == "move_near" and lacking:
        yield Check(recording.name, "success rule", 0.0, None, f"no centre of mass is recorded for {', '.join(lacking)}")
        return
    setup = recording.setup
    of_widowx = setup.configuration.is_widowx
    rule = (WidowXRule if of_widowx else make_rule)(setup, snapshot(recording, 0, centres))
    wrong: dict[str, int] = dict.fromkeys(recording.infos, 0)
    ended = recording.facts.get("advance_called_before_step")
    for step in range(len(recording.arrays["actions"])):
        if isinstance(rule, PlaceRule) and step == ended:
            rule.end_first_part()
        rule.step(snapshot(recording, step + 1, centres))
        for name, differs in differences(rule.facts(), recording, step):
            wrong[name] += differs
    for name, count in wrong.items():
        yield Check(recording.name, f"rule: {name} (steps that differ)", float(count), 0.0)
    same = rule.statistics() == recording.facts["final_episode_stats"]
    yield Check(recording.name, "rule: episode_stats", float(not same), 0.0)


def differences(facts: Mapping[str, Any], recording: Recording, step: int) -> Iterator[tuple[str, bool]]:
    """Each recorded flag or number of a step, and whether a rule's facts differ from it."""
    for name, row in recording.infos.items():
        tolerance = 1e-9 if name == "qpos" else 0.0
        yield name, not abs(float(facts[name]) - float(row[step])) <= tolerance


def snapshot(recording: Recording, row: int, centres: Mapping[str, np.ndarray]) -> Snapshot:
    """The recorded scene of one row of states; row 0 is the settled scene."""
    if recording.facts["task"] in RECORDED_NAMES:
        return rules_widowx.snapshot(recording, row)
    arrays, names = recording.arrays, recording.facts["object_names"]
    poses = np.asarray(arrays.get("obj_pose_world", np.zeros((row + 1, 0, 7)))[row], np.float64)
    middles = [pose[:3] + rotate(pose[3:], centres.get(name, np.zeros(3))) for name, pose in zip(names, poses, strict=True)]
    drawers = {
        joint.partition("_")[0]: float(arrays["cabinet_qpos"][row, index])
        for index, joint in enumerate(recording.facts["cabinet_joint_names"])
    }
    contacts = _contacts(recording, row - 1) if row else []
    return Snapshot(poses, np.array(middles).reshape(-1, 3), drawers, contacts, OPENINGS)


def _contacts(recording: Recording, step: int) -> list[Contact]:
    """Contacts that produce the recorded flags: both fingers if grasped, the table unless lifted; a counted drawer's bottom."""
    if "stats_has_contact" in recording.arrays:
        counts = [0, *recording.arrays["stats_has_contact"][: step + 1]]
        link, names = f"{recording.setup.configuration.subtask}_drawer", recording.facts["object_names"]
        return [Contact(name, link, TOUCH, DRAWER_BOTTOM) for name in names if counts[-1] > counts[-2]]
    if "info_is_grasped" not in recording.arrays:
        return []
    fingers = ("link_finger_left", "link_finger_right") if recording.arrays["info_is_grasped"][step] else ()
    table = () if recording.arrays["info_lifted_object"][step] else ("arena",)
    return [Contact(name, PickRule.name, TOUCH) for name in (*fingers, *table)]

"""A policy that shows how a task is done: an expert, disturbed, and everything about it written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..envs.base import Task
from ..policies.base import ActionChunk, BasePolicy, Observation, Policy, PolicyContext
from .demonstrations import Demonstration
from .noise import Disturbance, Noise

Array = np.ndarray
FINGERS = ("gripper0_finger_joint1", "gripper0_finger_joint2")
HAND = "robot0_right_hand"


@dataclass(slots=True)
class Take:
    """An episode while it is being recorded."""

    scene: Mapping[str, Any]
    """What does not change during the episode; see `envs.libero.privileged`."""
    disturbance: Disturbance
    lowest: float
    """Height of the lowest object's origin at the start, m, world."""
    rows: dict[str, list[Any]] = field(default_factory=dict)

    def note(self, **values: Any) -> None:
        """One step more."""
        for name, value in values.items():
            self.rows.setdefault(name, []).append(value)


class Demonstrator(BasePolicy):
    """Acts as an expert does, disturbed step by step, and keeps states, executed actions and the expert's own."""

    stochastic = True

    def __init__(self, expert: Policy, noise: Noise) -> None:
        """`expert` must see privileged state; one action of each of its answers is executed."""
        self.expert = expert
        self.needs = expert.needs
        self.marks = expert.marks
        self.noise = noise
        self._takes: dict[str, Take] = {}

    def start(self, context: PolicyContext) -> None:
        """Start the expert."""
        self.expert.start(context)

    def act_one(self, observation: Observation) -> ActionChunk:
        """The expert's action, disturbed."""
        view = observation.view.privileged
        if observation.decision == 0:
            self._takes[observation.key] = Take(view["scene"], Disturbance(self.noise), _lowest(view))
        take = self._takes[observation.key]
        label = np.asarray(self.expert.act([observation])[0].actions[0], np.float64)
        hand = _hand(take.scene, view)
        executed, pushed = take.disturbance.apply(label, float(hand[4]) - take.lowest, observation.rng())
        state = np.concatenate([[view["time"]], view["qpos"], view["qvel"]])
        take.note(actions=executed, labels=label, pushed=pushed, states=state, seen_qpos=view["seen_qpos"], robot_states=hand)
        return ActionChunk(executed[None])

    def forget(self, key: str) -> None:
        """Drop an episode."""
        self.expert.forget(key)
        self._takes.pop(key, None)

    def fingerprint(self) -> Mapping[str, Any]:
        """The expert's, and the noise."""
        return {**self.expert.fingerprint(), "disturbed": asdict(self.noise)}

    def close(self) -> None:
        """Let the expert go."""
        self.expert.close()

    def demonstration(self, key: str, suite: str, task: Task, facts: Mapping[str, Any]) -> Demonstration:
        """The episode as recorded; `facts` are added to what the recording knows."""
        take = self._takes[key]
        columns = {joint[0]: 1 + joint[2] for joint in take.scene["joints"]}
        return Demonstration(
            key=key,
            suite=suite,
            task=task.name,
            instruction=task.instruction,
            model=take.scene["model"],
            facts={"task_id": task.id, **facts, "fixtures": take.scene["fixture_poses"], "columns": columns},
            **{name: np.array(rows) for name, rows in take.rows.items()},
        )


def _lowest(view: Mapping[str, Any]) -> float:
    names, poses = view["scene"]["bodies"], np.asarray(view["body_pose"])
    return min(float(poses[names.index(f"{name}_main"), 2]) for name in view["scene"]["objects"])


def _hand(scene: Mapping[str, Any], view: Mapping[str, Any]) -> Array:
    """[9] LIBERO's robot state: fingers (m), grip site (m), hand quaternion x y z w."""
    qpos = np.asarray(view["qpos"])
    fingers = [qpos[joint[2]] for joint in scene["joints"] if joint[0] in FINGERS]
    site = np.asarray(view["site_pos"])[scene["sites"].index(scene["eef_site"])]
    w, x, y, z = np.asarray(view["body_pose"])[scene["bodies"].index(HAND), 3:]
    return np.array([*fingers, *site, x, y, z, w])

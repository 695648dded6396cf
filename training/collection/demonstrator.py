"""A policy that shows how a task is done: an expert, disturbed, and everything about it written down.

Where a learner begins, the expert takes over from wherever that has led: those are the states that a learner must know its way
out of, and no noise leads there (DAgger, arXiv:1011.0686, with the expert finishing each episode).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from ...envs.base import EnvObservation, EpisodeSpec, ObservationSpec, Task
from ...envs.types import Array
from ...policies.base import ActionChunk, BasePolicy, Observation, Policy, PolicyContext
from ..data.demonstrations import Demonstration
from .perturbation import Disturbance, Noise

FINGERS = ("gripper0_finger_joint1", "gripper0_finger_joint2")
HAND = "robot0_right_hand"


@dataclass(frozen=True)
class Learner:
    """Who begins an episode."""

    policy: Policy
    steps: tuple[int, int]
    """Fewest and most control steps before the expert takes over; drawn for each episode."""


@dataclass(slots=True)
class Take:
    """An episode while it is being recorded."""

    scene: Mapping[str, Any]
    """What does not change during the episode; see `envs.libero.privileged`."""
    disturbance: Disturbance
    takeover: int
    """Control step from which the expert acts, and the recording runs."""
    first: int | None = None
    """The expert's first decision."""
    lowest: float = 0.0
    """Height of the lowest object's origin then, m, world."""
    rows: dict[str, list[Any]] = field(default_factory=dict)

    def note(self, **values: Any) -> None:
        """One step more."""
        for name, value in values.items():
            self.rows.setdefault(name, []).append(value)


class Demonstrator(BasePolicy):
    """Acts as an expert does, disturbed step by step, and keeps states, executed actions and the expert's own."""

    stochastic = True

    def __init__(self, expert: Policy, noise: Noise, learner: Learner | None = None) -> None:
        """`expert` must see privileged state; one action of each of its answers is executed."""
        self.expert, self.learner = expert, learner
        self.observation_spec = (
            _both(expert.observation_spec, learner.policy.observation_spec) if learner else expert.observation_spec
        )
        self.tags = expert.tags
        self.noise = noise
        self._takes: dict[str, Take] = {}

    def setup(self, context: PolicyContext) -> None:
        """Start the expert, and the learner."""
        self.expert.setup(context)
        if self.learner:
            self.learner.policy.setup(context)

    def act_one(self, observation: Observation) -> ActionChunk:
        """The expert's action, disturbed; before it takes over, the learner's chunk."""
        view = observation.env_observation.privileged
        if observation.decision == 0:
            self._takes[observation.key] = Take(view["scene"], Disturbance(self.noise), self.takeover(observation.spec))
        take = self._takes[observation.key]
        if self.learner and observation.step < take.takeover:
            chunk = self.learner.policy.act([observation])[0]
            return replace(chunk, actions=chunk.actions[: take.takeover - observation.step])
        label = self._label(take, observation)
        hand = _hand(take.scene, view)
        executed, pushed = take.disturbance.apply(label, float(hand[4]) - take.lowest, observation.rng())
        state = np.concatenate([[view["time"]], view["qpos"], view["qvel"]])
        take.note(actions=executed, labels=label, pushed=pushed, states=state, seen_qpos=view["seen_qpos"], robot_states=hand)
        return ActionChunk(executed[None])

    def _label(self, take: Take, observation: Observation) -> Array:
        """[7] what the expert does; its episode begins where it takes over."""
        view = {**observation.env_observation.privileged, "scene": take.scene}
        if take.first is None:
            take.first, take.lowest = observation.decision, _lowest(view)
        shown = replace(observation, decision=observation.decision - take.first, env_observation=EnvObservation(privileged=view))
        return np.array(self.expert.act([shown])[0].actions[0], np.float64)

    def end_episode(self, key: str) -> None:
        """Drop an episode."""
        self.expert.end_episode(key)
        if self.learner:
            self.learner.policy.end_episode(key)
        self._takes.pop(key, None)

    def fingerprint(self) -> Mapping[str, Any]:
        """The expert's, the noise, and who begins."""
        begun = {"learner": {**self.learner.policy.fingerprint(), "steps": self.learner.steps}} if self.learner else {}
        return {**self.expert.fingerprint(), "disturbed": asdict(self.noise), **begun}

    def close(self) -> None:
        """Let both go."""
        self.expert.close()
        if self.learner:
            self.learner.policy.close()

    def takeover(self, spec: EpisodeSpec) -> int:
        """Control steps of an episode that the learner plays; an episode that is over by then shows nothing."""
        if not self.learner:
            return 0
        low, high = self.learner.steps
        return int(np.random.default_rng(spec.entropy("takeover")).integers(low, high + 1))

    def demonstration(self, key: str, suite: str, task: Task, facts: Mapping[str, Any]) -> Demonstration:
        """The episode as recorded; `facts` are added to what the recording knows."""
        take = self._takes[key]
        columns = {joint[0]: 1 + joint[2] for joint in take.scene["joints"]}
        rows: dict[str, Any] = {name: np.array(found) for name, found in take.rows.items()}
        return Demonstration(
            key=key,
            suite=suite,
            task=task.name,
            instruction=task.instruction,
            model=take.scene["model"],
            facts={"task_id": task.id, **facts, "fixtures": take.scene["fixture_poses"], "columns": columns},
            **rows,
        )


def _both(expert: ObservationSpec, learner: ObservationSpec) -> ObservationSpec:
    """What either wants to be shown."""
    cameras = tuple(dict.fromkeys((*expert.cameras, *learner.cameras)))
    return replace(learner, cameras=cameras, proprio=expert.proprio or learner.proprio, privileged=True)


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

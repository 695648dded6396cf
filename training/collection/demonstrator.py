"""A policy that records demonstrations: a perturbed expert with its states, actions and labels.

With a learner, the expert takes over from the states that the learner reaches, which no noise reaches (DAgger,
arXiv:1011.0686, with the expert finishing each episode).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...envs.base import EnvObservation, EpisodeSpec, ObservationSpec, Task
from ...envs.types import Array
from ...policies.base import ActionChunk, BasePolicy, Observation, Policy, PolicyContext
from ..data.demonstrations import Demonstration
from .perturbation import Perturbation, PerturbationConfig

FINGERS = ("gripper0_finger_joint1", "gripper0_finger_joint2")
GRIPPER = "robot0_right_hand"


@dataclass(frozen=True)
class Learner:
    """Policy that acts before the expert."""

    policy: Policy
    steps: tuple[int, int]
    """Fewest and most control steps before the takeover; sampled per episode."""


@dataclass(slots=True)
class EpisodeBuffer:
    """Recording of an episode in progress."""

    scene: Mapping[str, Any]
    """Constants of the episode; see `envs.libero.sim.privileged`."""
    perturbation: Perturbation
    takeover: int
    """Control step of the takeover, from which the episode is recorded."""
    first: int | None = None
    """Decision of the takeover."""
    lowest: float = 0.0
    """Height of the lowest object's origin at the takeover, m, world frame."""
    rows: dict[str, list[Any]] = field(default_factory=dict)

    def append(self, **values: Any) -> None:
        """Add one step."""
        for name, value in values.items():
            self.rows.setdefault(name, []).append(value)


class Demonstrator(BasePolicy):
    """Perturbs an expert step by step, and records states, executed actions and the expert's own."""

    stochastic = True

    def __init__(self, expert: Policy, config: PerturbationConfig, learner: Learner | None = None) -> None:
        """`expert` must read privileged state; one action of each of its chunks is executed."""
        self.expert, self.learner = expert, learner
        self.observation_spec = (
            _union(expert.observation_spec, learner.policy.observation_spec) if learner else expert.observation_spec
        )
        self.tags = expert.tags
        self.config = config
        self._buffers: dict[str, EpisodeBuffer] = {}

    def setup(self, context: PolicyContext) -> None:
        """Set up the expert and the learner."""
        self.expert.setup(context)
        if self.learner:
            self.learner.policy.setup(context)

    def act_one(self, observation: Observation) -> ActionChunk:
        """The expert's perturbed action; before the takeover, the learner's chunk."""
        view = observation.env_observation.privileged
        if observation.decision == 0:
            self._buffers[observation.key] = EpisodeBuffer(
                view["scene"], Perturbation(self.config), self.takeover(observation.spec)
            )
        buffer = self._buffers[observation.key]
        if self.learner and observation.step < buffer.takeover:
            chunk = self.learner.policy.act([observation])[0]
            return replace(chunk, actions=chunk.actions[: buffer.takeover - observation.step])
        label = self._label(buffer, observation)
        robot_state = _robot_state(buffer.scene, view)
        executed, pushed = buffer.perturbation.apply(label, float(robot_state[4]) - buffer.lowest, observation.rng())
        state = np.concatenate([[view["time"]], view["qpos"], view["qvel"]])
        buffer.append(
            actions=executed, labels=label, pushed=pushed, states=state, seen_qpos=view["seen_qpos"], robot_states=robot_state
        )
        return ActionChunk(executed[None])

    def _label(self, buffer: EpisodeBuffer, observation: Observation) -> Array:
        """[7] the expert's action; its episode starts at the takeover."""
        view = {**observation.env_observation.privileged, "scene": buffer.scene}
        if buffer.first is None:
            buffer.first, buffer.lowest = observation.decision, _lowest(view)
        expert_input = replace(
            observation, decision=observation.decision - buffer.first, env_observation=EnvObservation(privileged=view)
        )
        return np.array(self.expert.act([expert_input])[0].actions[0], np.float64)

    def end_episode(self, key: str) -> None:
        """Drop an episode."""
        self.expert.end_episode(key)
        if self.learner:
            self.learner.policy.end_episode(key)
        self._buffers.pop(key, None)

    def fingerprint(self) -> Mapping[str, Any]:
        """The expert's and the learner's, and the perturbation."""
        learner = {"learner": {**self.learner.policy.fingerprint(), "steps": self.learner.steps}} if self.learner else {}
        return {**self.expert.fingerprint(), "disturbed": self.config.to_json(), **learner}

    def close(self) -> None:
        """Close both policies."""
        self.expert.close()
        if self.learner:
            self.learner.policy.close()

    def takeover(self, spec: EpisodeSpec) -> int:
        """Control steps before the takeover; an episode that ends before it is no demonstration."""
        if not self.learner:
            return 0
        low, high = self.learner.steps
        return int(np.random.default_rng(spec.entropy("takeover")).integers(low, high + 1))

    def demonstration(self, key: str, suite: str, task: Task, facts: Mapping[str, Any]) -> Demonstration:
        """The recorded episode; `facts` join those of the recording."""
        buffer = self._buffers[key]
        columns = {joint[0]: 1 + joint[2] for joint in buffer.scene["joints"]}
        rows: dict[str, Any] = {name: np.array(values) for name, values in buffer.rows.items()}
        return Demonstration(
            key=key,
            suite=suite,
            task=task.name,
            instruction=task.instruction,
            model=buffer.scene["model"],
            facts={"task_id": task.id, **facts, "fixtures": buffer.scene["fixture_poses"], "columns": columns},
            **rows,
        )


def _union(expert: ObservationSpec, learner: ObservationSpec) -> ObservationSpec:
    """Observation spec that serves both policies."""
    cameras = tuple(dict.fromkeys((*expert.cameras, *learner.cameras)))
    return replace(learner, cameras=cameras, proprio=expert.proprio or learner.proprio, privileged=True)


def _lowest(view: Mapping[str, Any]) -> float:
    names, poses = view["scene"]["bodies"], np.asarray(view["body_pose"])
    return min(float(poses[names.index(f"{name}_main"), 2]) for name in view["scene"]["objects"])


def _robot_state(scene: Mapping[str, Any], view: Mapping[str, Any]) -> Array:
    """[9] LIBERO's robot state: fingers (m), grip site (m), gripper quaternion x y z w."""
    qpos = np.asarray(view["qpos"])
    fingers = [qpos[joint[2]] for joint in scene["joints"] if joint[0] in FINGERS]
    site = np.asarray(view["site_pos"])[scene["sites"].index(scene["eef_site"])]
    w, x, y, z = np.asarray(view["body_pose"])[scene["bodies"].index(GRIPPER), 3:]
    return np.array([*fingers, *site, x, y, z, w])

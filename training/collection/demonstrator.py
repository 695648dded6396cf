"""A policy that records demonstrations: a perturbed expert with its states, actions and labels.

With a learner, the expert takes over from the states that the learner reaches, which no noise reaches (DAgger,
arXiv:1011.0686, with the expert finishing each episode).
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


MOVING = 0.15
"""Norm of an action's motion below which the gripper counts as standing still."""
GRIPPING = 12
"""Control steps that closing or opening the fingers takes, with a margin."""
LOW = 0.12
"""Metres above the lowest object's origin below which pushes only go upwards."""


@dataclass(frozen=True, slots=True)
class PerturbationConfig:
    """Perturbation of an expert, in units of a full action. The defaults are for LIBERO's 20 Hz."""

    noise_std: float = 0.03
    """Standard deviation of the smooth noise, for each of the six numbers of motion."""
    memory: float = 0.7
    """AR(1) coefficient of the smooth noise."""
    push_probability: float = 0.03
    """Probability per step that a push starts, where one may."""
    push_steps: tuple[int, int] = (3, 7)
    """Fewest and most control steps of a push."""
    push_strength: tuple[float, float] = (0.4, 1.0)
    follow: float = 0.3
    """Share of the expert's motion that is executed during a push."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able, under the names in demonstrations and fingerprints of format 1."""
        return {STORED.get(name, name): value for name, value in asdict(self).items()}


STORED = {"noise_std": "smooth", "push_probability": "push_chance"}
"""Fields whose stored names differ."""


class Perturbation:
    """Perturbation of one episode, step by step, so that demonstrations contain recoveries.

    The perturbed action is executed and the expert's own action is the label. Smooth noise displaces the gripper slightly at
    all times; pushes displace it by centimetres. Steps under a push are marked, and chunks that overlap one are no examples.
    """

    def __init__(self, config: PerturbationConfig) -> None:
        self.config = config
        self._smooth = np.zeros(6)
        self._push = np.zeros(6)
        self._left = 0
        self._grip: float | None = None
        self._since_grip = GRIPPING

    def apply(self, action: Array, height: float, rng: np.random.Generator) -> tuple[Array, bool]:
        """(action to execute, whether a push is part of it).

        Args:
            action: [7] the expert's.
            height: of the gripper above the lowest object's origin, m.
            rng: generator of this step.
        """
        config = self.config
        fresh = rng.normal(0.0, config.noise_std * np.sqrt(1.0 - config.memory**2), 6)
        self._smooth = config.memory * self._smooth + fresh
        self._track_gripper(action)
        self._left = self._left - 1 if self._may_push(action) else 0
        if self._left <= 0 and self._may_push(action) and rng.random() < config.push_probability:
            self._start_push(height, rng)
        pushed = self._left > 0
        motion = config.follow * action[:6] + self._push if pushed else action[:6]
        return np.append(np.clip(motion + self._smooth, -1.0, 1.0), action[6]), pushed

    def _track_gripper(self, action: Array) -> None:
        """Count the steps since the last change of the gripper command."""
        changed = self._grip is not None and action[6] != self._grip
        self._since_grip = 0 if changed else self._since_grip + 1
        self._grip = float(action[6])

    def _may_push(self, action: Array) -> bool:
        """Never while the gripper stands still, or its fingers move."""
        return float(np.linalg.norm(action[:6])) > MOVING and self._since_grip >= GRIPPING

    def _start_push(self, height: float, rng: np.random.Generator) -> None:
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        if height < LOW:
            direction[2] = abs(direction[2])
        self._push = np.append(rng.uniform(*self.config.push_strength) * direction, np.zeros(3))
        low, high = self.config.push_steps
        self._left = int(rng.integers(low, high + 1))

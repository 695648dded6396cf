"""The policy `scripted`: an expert that solves LIBERO's and SimplerEnv's tasks from privileged state."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...envs import suites
from ...envs.base import EvalProtocol, ObservationSpec
from ...envs.errors import PolicyError
from ...envs.libero.suite import ACTION_SPEC as LIBERO_ACTIONS
from ...envs.simpler.setup import WIDOWX
from ...envs.simpler.suite import ACTION_SPEC as SIMPLER_ACTIONS, WIDOWX_ACTION_SPEC
from ...envs.simpler.widowx_tasks import TASKS as WIDOWX_TASKS
from ...envs.specs import ActionDim
from ..base import ActionChunk, BasePolicy, Observation, PolicyRequestError
from . import google_robot, motion, plans, scene, widowx
from .geometry import Array, Pose
from .google_robot.styles import STYLES, Style
from .steps import HasGripper, Target

MEMORY = 0.9
"""Part of a disturbance that is left after a step: it keeps its direction for about ten steps."""


class ExpertScene(HasGripper, Protocol):
    """The scene of an expert, read from privileged state."""

    def update(self, view: Mapping[str, Any]) -> None:
        """Read the latest privileged state."""
        ...


class Controller(Protocol):
    """Controller from targets to actions."""

    full: Array
    """[6] a full action: its largest components of motion."""

    def action(self, gripper: Pose, target: Target) -> Array:
        """[7] the action that brings the gripper nearer to the target."""
        ...


Expert = tuple[ExpertScene, Controller, Iterator[Target]]
"""A scene, its controller and the plan."""


def _libero(view: Mapping[str, Any], style: Style) -> Expert:
    read = scene.LiberoScene(view)
    return read, motion.Controller(), plans.solve(read)


def _simpler(view: Mapping[str, Any], style: Style) -> Expert:
    if view["scene"]["task"] in WIDOWX_TASKS:
        return _widowx(view)
    read = google_robot.scene.GoogleRobotScene(view)
    return read, google_robot.motion.Controller(read.base), google_robot.plans.solve(read, style)


def _widowx(view: Mapping[str, Any]) -> Expert:
    read = widowx.scene.WidowXScene(view)
    return read, widowx.motion.Controller(read.base, read.gripper), widowx.plans.solve(read)


EXPERTS: dict[str, Callable[[Mapping[str, Any], Style], Expert]] = {"libero": _libero, "simpler": _simpler}
"""Family of suites -> the expert of an episode, from its first privileged state and a style (SimplerEnv's tasks on the table)."""
ACTIONS = {"libero": LIBERO_ACTIONS, "simpler": SIMPLER_ACTIONS}
"""Family of suites -> specification of the expert's actions."""


class Episode:
    """State of the expert in one episode: the scene, its plan, the tracker, and the disturbance."""

    def __init__(self, expert: Expert) -> None:
        self._scene, self._controller, self._plan = expert
        self.label = np.zeros(7)
        self._disturbance = np.zeros(6)

    def decide(self, view: Mapping[str, Any]) -> Array:
        """[7] the expert's action for this observation; kept as `label`."""
        self._scene.update(view)
        self.label = self._controller.action(self._scene.gripper, next(self._plan))
        return self.label

    def disturbed(self, noise: float, rng: np.random.Generator) -> Array:
        """[7] the label with its motion disturbed; the gripper command is unchanged."""
        fresh = rng.normal(0.0, noise * np.sqrt(1.0 - MEMORY**2), 6)
        self._disturbance = MEMORY * self._disturbance + fresh
        full = self._controller.full
        action = np.append(np.clip(self.label[:6] + self._disturbance * full, -full, full), self.label[6])
        if isinstance(self._controller, widowx.motion.Controller):
            self._controller.replaced(action)
        return action


class ScriptedPolicy(BasePolicy):
    """Solves the tasks of LIBERO and SimplerEnv by scripted skills, closed loop, one action per decision.

    Args:
        noise: standard deviation of a slowly varying disturbance of the six motion components of each action (1 is a
            full action), sampled from the episode's key. The expert corrects for it; `label` is the undisturbed action.
        style: how SimplerEnv's objects are carried: `slide` (low over the table), `lift` (12 cm above it, then set down),
            `squeeze` (the same, fingers commanded to close throughout).
    """

    observation_spec = ObservationSpec(privileged=True)
    tags = ("privileged",)

    def __init__(self, noise: float = 0.0, style: str = "slide") -> None:
        if not 0.0 <= noise <= 1.0:
            raise PolicyRequestError(f"noise must be between 0 and 1, not {noise}; e.g. --policy-arg noise=0.1")
        if style not in STYLES:
            raise PolicyRequestError(f"style {style!r} not found; one of {', '.join(STYLES)}, e.g. --policy-arg style=lift")
        self.noise, self.style = noise, style
        self.stochastic = noise > 0.0
        self._episodes: dict[str, Episode] = {}

    def action_spec_under(self, protocol: EvalProtocol) -> tuple[ActionDim, ...] | None:
        """The actions of the protocol's family of suites."""
        return WIDOWX_ACTION_SPEC if WIDOWX in protocol.max_steps else ACTIONS.get(protocol.family)

    def act_one(self, observation: Observation) -> ActionChunk:
        """The next action of the observation's episode."""
        episode = self._episode(observation)
        action = episode.decide(observation.env_observation.privileged)
        if self.noise > 0.0:
            action = episode.disturbed(self.noise, observation.rng())
        return ActionChunk(action[None])

    def label(self, key: str) -> Array:
        """[7] the last action of an episode before its disturbance: the label to imitate."""
        return self._episodes[key].label

    def end_episode(self, key: str) -> None:
        """Drop an episode."""
        self._episodes.pop(key, None)

    def fingerprint(self) -> Mapping[str, Any]:
        """Options of the expert, and a digest of its own code: a changed expert is another policy."""
        return {**super().fingerprint(), "noise": self.noise, "style": self.style, "code": _digest()}

    def _episode(self, observation: Observation) -> Episode:
        if observation.decision == 0:
            self._episodes[observation.key] = Episode(_expert(observation, STYLES[self.style]))
        return self._episodes[observation.key]


def _expert(observation: Observation, style: Style) -> Expert:
    suite, view = observation.spec.suite, observation.env_observation.privileged
    family = suites.get(suite).family
    if "scene" not in view or family not in EXPERTS:
        raise PolicyError(
            f"scripted needs the privileged state of {suite}; only the environments of {' and '.join(EXPERTS)} give it"
        )
    return EXPERTS[family](view, style)


def _digest() -> str:
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(source.name.encode() + source.read_bytes() for source in sources)).hexdigest()[:16]

"""One task of a suite as a `gymnasium.Env`: the episodes, states and success of `nora-bench run`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from ...envs.base import FRESH, Array, EnvObservation, EpisodeSpec, EvalProtocol, Suite, Task
from ...envs.errors import InputError, PolicyError
from ...policies.base import ActionChunk
from ...policies.checks import check_chunk
from ..replay.images import FPS, side_by_side
from .sessions import Moment, Session

OPTIONS = ("init_state", "seed", "variant", "init_set")
"""Options of `reset`, named as the fields of `EpisodeSpec`."""
SEEDS = 2**31
"""Repetitions that unseeded resets sample from, of tasks whose scene depends on it."""


@dataclass(frozen=True, slots=True)
class TaskEpisodes:
    """The episodes of one task under one protocol."""

    suite: Suite
    task: Task
    protocol: EvalProtocol
    variant: str = ""
    """The only variant to use; empty for all of the task's."""
    init_set: str = ""
    max_steps: int | None = None
    """Control steps of an episode; None for the protocol's."""

    @property
    def scenes(self) -> list[tuple[str, int]]:
        """Variant and initial state of every episode of one seed."""
        variants = (self.variant,) if self.variant else self.task.variants or ("",)
        states = self.task.fresh_states if self.init_set else self.task.init_states
        return [(variant, state) for variant in variants for state in range(states)]

    @property
    def budget(self) -> int:
        """Control steps of an episode."""
        return self.max_steps or self.protocol.steps(self.suite.name, self.task.name)

    def numbered(self, number: int) -> EpisodeSpec:
        """Episode `number`, counted through the scenes and, with the next seed, through them again."""
        seed, place = divmod(number, len(self.scenes))
        variant, state = self.scenes[place]
        return EpisodeSpec(self.suite.name, self.task.id, state, seed, self.protocol.name, variant, self.init_set)

    def sampled(self, rng: np.random.Generator) -> EpisodeSpec:
        """A random episode: scenes with equal chances, and a random seed where it changes the scene."""
        spec = self.numbered(int(rng.integers(len(self.scenes))))
        seed = int(rng.integers(SEEDS)) if self.task.seeded or self.protocol.perturbation else 0
        return self.named({"init_state": spec.init_state, "variant": spec.variant, "seed": seed})

    def named(self, options: Mapping[str, Any]) -> EpisodeSpec:
        """The episode of these options of `reset`; omitted ones are 0, or the first. Raises InputError for others."""
        if not isinstance(options, Mapping):
            raise InputError(f"options of reset must be a dictionary, not {options!r}", option="options", value=options)
        if unknown := options.keys() - set(OPTIONS):
            raise InputError(f"reset has no option {min(unknown)!r}; options: {', '.join(OPTIONS)}", option=min(unknown))
        first = self.scenes[0][0]
        values = {"init_state": 0, "seed": 0, "variant": first, "init_set": self.init_set, **options}
        task, states = self.task, self.task.fresh_states if values["init_set"] else self.task.init_states
        if values["variant"] not in (task.variants or ("",)):
            raise InputError(f"{task.name} has no variant {values['variant']!r}", option="variant", value=values["variant"])
        if values["init_set"] not in ("", FRESH):
            raise InputError(f"init_set must be empty or {FRESH!r}, not {values['init_set']!r}", option="init_set")
        for name, end in (("init_state", states), ("seed", 2**63)):
            value = values[name]
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or not 0 <= value < end:
                raise InputError(f"{name} must be a whole number from 0 to {end - 1}, not {value!r}", option=name, value=value)
        numbers = {name: int(values[name]) for name in ("init_state", "seed")}
        names = {name: values[name] for name in ("variant", "init_set")}
        return EpisodeSpec(suite=self.suite.name, task_id=task.id, protocol=self.protocol.name, **numbers, **names)


class SuiteEnv(gymnasium.Env[dict[str, Any], Array]):
    """One task of a suite. Built by `nora_bench.make`.

    Observations: `images` (camera -> height x width x 3 uint8, oriented as the protocol says) and `proprio` (name -> float64
    vector), each only where there are any. Reward 1 at the step that ends the episode in success, else 0. `terminated` at
    success by the protocol's rule, `truncated` at its budget. `info` has `key` (the episode's), `instruction`, `steps` and
    `is_success`; at the end also `success_any`, `measures`, and `trajectory_sha256`, which equals that of the same actions
    in a run.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012  gymnasium declares it so

    def __init__(
        self, session: Session, episodes: TaskEpisodes, chunk: int | None = None, render_mode: str | None = None
    ) -> None:
        """Start episode 0, whose observation gives the spaces.

        Args:
            session: runs the episodes; closed with the environment.
            episodes: the task's.
            chunk: None for actions [action size]; n for action chunks of up to n steps, [n, action size], observed at their end.
            render_mode: `rgb_array` or None.
        """
        self.session, self.episodes, self.chunk, self.render_mode = session, episodes, chunk, render_mode
        self.task_id = episodes.task.id
        self.task = episodes.task.name
        self._closed = False
        self._moment = self._start(episodes.numbered(0))
        self.action_space = self._action_space()
        self.observation_space = _space(self._encode(self._moment.observation))

    @property
    def instruction(self) -> str:
        """The current episode's instruction."""
        return self._moment.observation.instruction or str(self.episodes.suite.instruction(self.episode))

    task_description = instruction
    """Its name in lerobot."""

    @property
    def _max_episode_steps(self) -> int:
        """Most calls of `step` per episode, under lerobot's name."""
        return -(-self.episodes.budget // (self.chunk or 1))

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode.

        Args:
            seed: number of the episode: initial states (of all variants) in order, then again with the next repetition.
                None samples one, with the generator that the last seed has set.
            options: `init_state`, `seed` (repetition), `variant` and `init_set` name the episode instead.
        """
        super().reset(seed=seed)
        if options:
            spec = self.episodes.named(options)
        else:
            spec = self.episodes.sampled(self.np_random) if seed is None else self.episodes.numbered(seed)
        self._moment = self._start(spec)
        return self._encode(self._moment.observation), self._info()

    def step(self, action: Array) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Execute an action or a chunk. Raises PolicyError for one of another shape or with NaN."""
        self._require_open()
        if self._moment.outcome is not None:
            raise gymnasium.error.ResetNeeded(f"episode {self.episode.key} has ended: call reset")
        actions = self._actions(action)
        self._moment = self.session.execute(actions)
        self._steps = min(self._steps + len(actions), self.episodes.budget)
        outcome = self._moment.outcome
        terminated = outcome is not None and outcome.success and self.episodes.protocol.success != "last_step"
        reward = float(outcome is not None and outcome.success)
        return self._encode(self._moment.observation), reward, terminated, outcome is not None and not terminated, self._info()

    def render(self) -> Any:
        """The images of the last observation side by side, height x width x 3 uint8. Raises InputError without cameras."""
        if not self._moment.observation.images:
            raise InputError("this environment has no cameras to render: make it with cameras=None")
        return side_by_side(self._moment.observation)

    def close(self) -> None:
        """Release the simulator."""
        self._closed = True
        self.session.close()

    def _require_open(self) -> None:
        if self._closed:
            raise gymnasium.error.ClosedEnvironmentError("the environment is closed; make a new one with nora_bench.make")

    def _actions(self, action: Array) -> Array:
        """[steps, action size] float64. Raises PolicyError for anything else, and for more steps than a chunk has."""
        try:
            actions = np.asarray(action)
        except ValueError as error:  # rows of different lengths
            raise PolicyError(f"an action must be an array of numbers: {error}") from None
        if actions.dtype.kind not in "fiub":
            raise PolicyError(f"an action must be an array of real numbers, not of {actions.dtype}")
        actions = np.atleast_2d(actions.astype(np.float64))
        check_chunk(ActionChunk(actions), self.session.action_size)
        if len(actions) > (most := self.chunk or 1):
            raise PolicyError(f"{len(actions)} actions in one step, of at most {most}: make it with chunk={len(actions)}")
        return actions

    def _start(self, spec: EpisodeSpec) -> Moment:
        self._require_open()
        self.episode, self._steps = spec, 0
        return self.session.start(spec, self.episodes.budget)

    def _info(self) -> dict[str, Any]:
        outcome = self._moment.outcome
        info = {"key": self.episode.key, "instruction": self.instruction, "steps": self._steps, "is_success": False}
        if outcome is None:
            return info
        facts = {"success_any": outcome.success_any, "trajectory_sha256": outcome.trajectory_sha256}
        return {**info, "steps": outcome.steps, "is_success": outcome.success, **facts, "measures": dict(outcome.measures)}

    def _encode(self, observation: EnvObservation) -> dict[str, Any]:
        """The observation as the spaces have it."""
        parts = {"images": observation.images, "proprio": observation.proprio}
        return {name: {key: np.array(value) for key, value in part.items()} for name, part in parts.items() if part}

    def _action_space(self) -> spaces.Box:
        dims = self.episodes.suite.action_spec
        if len(dims) != self.session.action_size:
            low = high = np.full(self.session.action_size, np.inf)
            low = -low
        else:
            low = np.array([-np.inf if dim.low is None else dim.low for dim in dims])
            high = np.array([np.inf if dim.high is None else dim.high for dim in dims])
        if self.chunk:
            low, high = np.tile(low, (self.chunk, 1)), np.tile(high, (self.chunk, 1))
        return spaces.Box(low, high, dtype=np.float64)


def _space(value: Any) -> spaces.Space[Any]:
    """The space of an observation: dictionaries of images and of vectors without bounds."""
    if isinstance(value, dict):
        return spaces.Dict({name: _space(part) for name, part in value.items()})
    if value.dtype == np.uint8:
        return spaces.Box(0, 255, value.shape, np.uint8)
    return spaces.Box(-np.inf, np.inf, value.shape, value.dtype)

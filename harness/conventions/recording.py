"""Records moments of the scripted expert: one pass without images finds its actions, a second renders the chosen moments.

An episode is a pure function of its key and its actions, so the second pass repeats the first bit for bit. Rendering every step
would cost many times the simulation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ...envs.base import EpisodeSpec, ObservationSpec
from ...envs.errors import MissingRequirementError
from ...envs.paths import cache_errors, cache_home, write_problem
from ...envs.types import Array
from ...policies.base import ActionChunk, BasePolicy, Observation, Policy, PolicyContext
from ...results.store.records import EpisodeRecord
from ..execution.policy_host import LocalPolicyHost
from ..planning.resolve import ResolvedRun
from .moments import FILE_FORMAT, Moment, RunEpisodes, Tick, padded, policy_log, read_moments, write_moments

EXPERT = "scripted"
FEWEST = 3
"""Episodes without which there is no interval worth the name."""
TASKS = 4
"""Tasks of the recorded episodes."""
STRIDE = 17
"""Initial states between two chosen ones."""
LEAD = 4
"""Steps before a change of the gripper command at which a moment is placed, so that its chunk contains the change."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What to record: everything that decides the moments."""

    expert: ResolvedRun
    """The suite's run with the expert as its policy; its plan is all episodes of the suite."""
    observation_spec: ObservationSpec
    """What the diagnosed policy observes."""
    episodes: int
    moments: int
    """Most moments of all episodes together."""

    def cache_file(self) -> Path:
        """The file of these moments."""
        setup, assets = self.expert.setup, self.expert.assets
        spec = self.observation_spec
        deciding = {
            "format": FILE_FORMAT,
            "suites": list(setup.references),
            "protocol": setup.protocol.to_json(),
            "backend": setup.backend,
            "assets": assets.fingerprint,
            "images": [sorted(spec.cameras), spec.image_size],
            "expert": dict(self.expert.policy.fingerprint()),
            "episodes": [spec.key for spec in self.specs()],
            "moments": self.moments,
            "version": version("nora-bench"),
        }
        digest = hashlib.sha256(json.dumps(deciding, sort_keys=True, default=str).encode()).hexdigest()
        return cache_home() / "moments" / f"{setup.suites[0].name.replace(':', '-').replace('/', '-')}-{digest[:16]}.npz"

    def specs(self) -> list[EpisodeSpec]:
        """The episodes of the expert."""
        return spread(self.expert.plan.episodes, self.episodes, TASKS)


def spread(plan: Sequence[EpisodeSpec], count: int, tasks: int, shift: int = 0) -> list[EpisodeSpec]:
    """`count` episodes of a plan, over at most so many tasks, which cost seconds each to build; a shift gives other episodes."""
    groups: dict[int, list[EpisodeSpec]] = {}
    for spec in plan:
        groups.setdefault(spec.task_id, []).append(spec)
    chosen_tasks = sorted({number * len(groups) // tasks for number in range(min(tasks, len(groups)))})
    members = [list(groups.values())[number] for number in chosen_tasks]
    chosen: dict[str, EpisodeSpec] = {}
    for number in range(count * len(members)):
        group, turn = members[number % len(members)], number // len(members)
        spec = group[(STRIDE * (turn + shift)) % len(group)]
        if len(chosen) < count:
            chosen.setdefault(spec.key, spec)
    return list(chosen.values())


class _Expert(BasePolicy):
    """The expert; keeps its actions, and the answers of a policy that reads the same privileged state."""

    tags: tuple[str, ...] = ("replayed",)
    stochastic = True

    def __init__(self, expert: Policy, companion: Policy | None = None) -> None:
        self.expert = expert
        self.companion = LocalPolicyHost(companion, policy_log()) if companion else None
        spec = expert.observation_spec
        self.observation_spec = _union(companion.observation_spec, spec) if companion else spec
        self.actions: dict[str, list[Array]] = {}
        self.observations: dict[str, list[Observation]] = {}
        self.answers: dict[str, list[Array]] = {}

    def setup(self, context: PolicyContext) -> None:
        self.expert.setup(context)
        if self.companion:
            self.companion.setup(context)

    def act_one(self, observation: Observation) -> ActionChunk:
        if observation.decision == 0:
            self.actions[observation.key], self.answers[observation.key] = [], []
            self.observations[observation.key] = []
        action = np.array(self.expert.act([observation])[0].actions[:1], np.float64)
        self.actions[observation.key].append(action[0])
        if self.companion:
            self.answers[observation.key].append(self.companion.decide([observation])[0].actions)
            self.observations[observation.key].append(observation)
        return ActionChunk(action)

    def end_episode(self, key: str) -> None:
        self.expert.end_episode(key)
        if self.companion:
            self.companion.end_episode(key)


class _Camera(BasePolicy):
    """Repeats the expert's actions and keeps the observation at chosen steps."""

    tags: tuple[str, ...] = ("replayed",)
    stochastic = True

    def __init__(self, spec: ObservationSpec, actions: Mapping[str, Array], steps: Mapping[str, Sequence[int]]) -> None:
        self.observation_spec = replace(spec, proprio=True, proprio_spec=(), privileged=False, orientation=None)
        self._actions, self._steps = actions, steps
        self.seen: dict[tuple[str, int], Observation] = {}

    def act_one(self, observation: Observation) -> ActionChunk:
        self.seen[observation.key, observation.step] = observation
        actions = self._actions[observation.key]
        following = [step for step in self._steps[observation.key] if step > observation.step]
        rest = actions[observation.step : following[0] if following else len(actions)]
        return ActionChunk(rest if len(rest) else np.zeros((1, actions.shape[1])))


def recorded_moments(recording: Recording, run: RunEpisodes, tick: Tick = lambda count: None) -> tuple[list[Moment], bool]:
    """The moments, from the cache where they are there, and whether they were. Raises MissingRequirementError."""
    path = recording.cache_file()
    try:
        return read_moments(path), True
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        pass
    moments = _record(recording, run, tick)
    if not write_problem(path.parent):
        with cache_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_moments(path, moments)
    return moments, False


def _record(recording: Recording, run: RunEpisodes, tick: Tick) -> list[Moment]:
    expert = _Expert(recording.expert.policy)
    succeeded = _run(recording, run, expert, tick)
    actions = {spec.key: np.stack(expert.actions[spec.key]) for spec in succeeded}
    each = max(1, recording.moments // len(succeeded))
    steps = {key: moment_steps(rows, each) for key, rows in actions.items()}
    camera = _Camera(recording.observation_spec, actions, steps)
    _run(recording, run, camera, tick, succeeded)
    moments = []
    for key, chosen in steps.items():
        for step in chosen:
            if seen := camera.seen.get((key, step)):
                moments.append(Moment(seen, padded(actions[key][step:])))
    return moments


def answered_moments(
    recording: Recording, run: RunEpisodes, policy: Policy, tick: Tick = lambda count: None
) -> tuple[list[Moment], list[Array]]:
    """Moments with the answers of a policy that reads privileged state: it watches the expert's episodes from their start."""
    expert = _Expert(recording.expert.policy, policy)
    succeeded = _run(recording, run, expert, tick)
    each = max(1, recording.moments // len(succeeded))
    moments, answers = [], []
    for key in (spec.key for spec in succeeded):
        actions = np.stack(expert.actions[key])
        for step in moment_steps(actions, each):
            moments.append(Moment(expert.observations[key][step], padded(actions[step:])))
            answers.append(padded(expert.answers[key][step]))
    return moments, answers


def moment_steps(actions: Array, count: int) -> list[int]:
    """Steps of an episode at which the policy is queried: shortly before changes of the gripper, the others evenly spread."""
    last = max(1, len(actions) - 3)
    changes = np.flatnonzero(np.diff(np.sign(actions[:, -1]))) + 1
    chosen = [max(0, min(int(change) - LEAD, last - 1)) for change in changes[: count // 3]]
    even = np.linspace(0, last, max(count - len(chosen), 1), endpoint=False)
    return sorted({*chosen, *(int(step) for step in even)})


def _run(
    recording: Recording, run: RunEpisodes, policy: Policy, tick: Tick, chosen: Sequence[EpisodeSpec] | None = None
) -> list[EpisodeSpec]:
    """Run the episodes, or the chosen ones; those that succeeded. Raises MissingRequirementError for too few."""
    specs = recording.specs() if chosen is None else chosen
    expert = recording.expert
    setup = replace(expert.setup, protocol=replace(expert.setup.protocol, replan_steps=None))
    succeeded: list[EpisodeSpec] = []

    def on_record(record: EpisodeRecord) -> None:
        tick(1)
        if record.success or record.success_any:
            succeeded.append(record.spec)

    run(replace(expert, setup=setup), policy, specs, on_record)
    if len(succeeded) < min(FEWEST, len(specs)):
        raise MissingRequirementError(
            f"the expert succeeded in {len(succeeded)} of {len(specs)} episodes of {setup.suites[0].name}, too few to compare "
            f"with; see: nora-bench run --suite {setup.suites[0].name} --policy {EXPERT}"
        )
    order = {spec.key: number for number, spec in enumerate(specs)}
    return sorted(succeeded, key=lambda spec: order[spec.key])


def _union(policy: ObservationSpec, expert: ObservationSpec) -> ObservationSpec:
    return replace(policy, privileged=True, proprio=policy.proprio or expert.proprio, proprio_spec=())

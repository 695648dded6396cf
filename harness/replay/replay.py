"""Replay of a stored episode from its actions, compared with the recorded trajectory.

Runs the environment in this process, with the same rollout as a worker. The result is the same states bit for bit, or a
difference with its possible causes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ...envs.base import (
    Array,
    AssetPack,
    Env,
    EnvObservation,
    EnvOptions,
    EpisodeSpec,
    EvalProtocol,
    ObservationSpec,
    Reset,
    Suite,
)
from ...envs.errors import InputError, NoraBenchError, PolicyError, SuiteError
from ...envs.paths import ensure_cache_home
from ...envs.perturbations.images import defects_of
from ...envs.suites import EnvWrapper, call_suite, resolve_assets
from ...policies.base import ActionChunk
from ...policies.checks import check_chunk
from ...results.store.integrity import read_actions
from ...results.store.reader import StoredRun
from ...results.store.records import EpisodeRecord
from ...results.summary import find_episode
from ..config import parse, recorded_config
from ..execution.rollout import DecisionPoint, EpisodeOutcome, Rollout
from ..planning.plan import EvalSetup, resolve_setup
from ..rendering.backend import find_driver

OnObservation = Callable[[EnvObservation], None]


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """Comparison of a replay with the recorded episode."""

    key: str
    steps: int
    recorded_sha256: str | None
    replayed_sha256: str
    success: bool | None
    """Success as recorded."""
    replayed_success: bool
    features: Mapping[str, float] = field(default_factory=dict)
    """Features of the episode, by which a failure is classified."""
    differences: tuple[str, ...] = ()
    """Versions and assets that have changed since the recording; may explain another trajectory."""

    @property
    def same(self) -> bool:
        """Whether every simulator state is bit-identical to the recorded one."""
        return self.recorded_sha256 == self.replayed_sha256

    def to_json(self) -> dict[str, Any]:
        """JSON-able, with `same`."""
        return {**asdict(self), "same": self.same}


class ReplayError(NoraBenchError):
    """An episode whose replay failed: its environment raised an error, or rejects its actions.

    Attributes:
        key: the episode's.
        cause: what was raised.
    """

    def __init__(self, run: StoredRun, key: str, cause: str) -> None:
        super().__init__(
            f"the replay of {key} failed: {cause}. For the traceback, type: nora-bench --debug replay {run.folder} '{key}'"
        )
        self.key, self.cause = key, cause


def reason(error: NoraBenchError) -> str:
    """Why an episode could not be replayed, for a line that names it already."""
    return error.cause if isinstance(error, ReplayError) else str(error)


class RenderEveryStep(EnvWrapper):
    """An environment that passes on its observation after every step, decision or not, with the episode's perturbation of images.

    See `envs.base.Env` for the contract.
    """

    def __init__(self, env: Env, on_observation: OnObservation, steps: Collection[int] | None = None) -> None:
        """`steps`: control steps to observe, 0 the reset; None for all."""
        super().__init__(env)
        self.on_observation, self.steps, self._step = on_observation, steps, 0

    def reset(self, spec: EpisodeSpec, protocol: EvalProtocol, observation_spec: ObservationSpec) -> Reset:
        done = super().reset(spec, protocol, observation_spec)
        self._defects, self._step = defects_of(spec), 0
        self._pass_on()
        return done

    def step(self, action: Array, *, observe: bool) -> bool:
        self._step += 1
        goal = super().step(action, observe=self.steps is None or self._step in self.steps)
        self._pass_on()
        return goal

    def _pass_on(self) -> None:
        if self.steps is None or self._step in self.steps:
            observation = self.observation()
            self.on_observation(self._defects.apply(observation, self._step) if self._defects else observation)


def replay(
    run: StoredRun, key: str, *, assets: str = "", on_observation: OnObservation | None = None, trusted: Collection[str] = ()
) -> ReplayResult:
    """Replay one stored episode of a run.

    Args:
        run: the run, as read from its folder.
        key: the episode's key.
        assets: pack or folder to render with; empty for the run's own.
        on_observation: called with the observation after the reset and after every step; None renders nothing.
        trusted: suites `module:attribute` that may be imported because the run names them.

    Raises:
        InputError: no such episode, or one without actions.
        SuiteError, MissingRequirementError: the environment cannot be built here.
        ReplayError: the environment raised an error, or rejects the actions.
    """
    record = _find(run, key)
    with replaying(run, record.suite, assets=assets, on_observation=on_observation, trusted=trusted) as again:
        return again(record)


@contextmanager
def replaying(
    run: StoredRun,
    suite_name: str,
    *,
    assets: str = "",
    on_observation: OnObservation | None = None,
    observation_spec: ObservationSpec | None = None,
    trusted: Collection[str] = (),
    observed_steps: Callable[[EpisodeRecord], Collection[int]] | None = None,
) -> Iterator[Callable[[EpisodeRecord], ReplayResult]]:
    """A function that replays stored episodes of one suite, one after the other in one environment. See `replay`.

    `observation_spec`: contents of the observations; None for the images of all cameras. `observed_steps`: control steps of an
    episode that are observed, 0 the reset; None for all.
    """
    _require_own(run)
    stage = _stage(run, trusted)
    suite = _suite(run, stage, suite_name)
    if stage.python != sys.executable:
        raise InputError(f"episodes of backend {stage.backend} were run in another interpreter and cannot be replayed here")
    protocol = _protocol(run)
    pack = resolve_assets(suite, assets) if assets else _recorded_assets(run, suite)
    cameras = suite.cameras
    observation_spec = (
        (replace(observation_spec, cameras=cameras) if observation_spec else ObservationSpec(cameras=cameras))
        if on_observation
        else ObservationSpec()
    )
    with closing(call_suite(suite, "make_env", _options(suite, pack, stage.backend, renders=on_observation is not None))) as env:

        def again(record: EpisodeRecord) -> ReplayResult:
            steps = observed_steps(record) if observed_steps else None
            observed_env = RenderEveryStep(env, on_observation, steps) if on_observation else env
            actions = read_actions(run, record)
            try:
                done = run_actions(observed_env, record.spec, protocol, observation_spec, actions)
            except PolicyError as error:
                raise ReplayError(run, record.key, str(error)) from None
            except NoraBenchError:
                raise
            except Exception as error:  # code of a suite, which may be a plug-in
                raise ReplayError(run, record.key, f"{type(error).__name__}: {error}") from error
            changed = (*_changed_versions(run, suite), *_changed_assets(record, pack))
            sha256 = done.trajectory_sha256
            hashes = record.trajectory_sha256, sha256
            return ReplayResult(record.key, done.steps, *hashes, record.success, done.success, done.features, changed)

        yield again


def run_actions(
    env: Env, spec: EpisodeSpec, protocol: EvalProtocol, observation_spec: ObservationSpec, actions: Array
) -> EpisodeOutcome:
    """Run all of the actions, [steps, action size], as one episode. Raises PolicyError for invalid actions."""
    check_chunk(ActionChunk(actions), env.action_size)  # they come from a file
    # One chunk: where decisions were changes no outcome of recorded actions, and with delayed answers they were anywhere.
    episode = Rollout(env, spec, replace(protocol, replan_steps=None), observation_spec, budget=len(actions))
    event: DecisionPoint | EpisodeOutcome = episode.start()
    while isinstance(event, DecisionPoint):
        event = episode.execute(ActionChunk(actions[event.step :]))
    return event


def _stage(run: StoredRun, trusted: Collection[str]) -> EvalSetup:
    """The suites and the protocol of a run; suites `module:attribute` are imported only where trusted."""
    recorded = recorded_config(run.metadata.config, run.folder)
    try:
        config = parse(recorded)
    except InputError as error:
        raise InputError(f"`config` in {run.folder / 'run.json'}: {error}", option=error.option, value=error.value) from None
    if foreign := [name for name in config.suite if ":" in name and name not in trusted]:
        raise InputError(
            f"run {run.name} uses suite {foreign[0]}, which is code that a replay imports. If you trust it, "
            f"add --trust {foreign[0]}"
        )
    return resolve_setup(config, run.metadata.backend or "")


def _suite(run: StoredRun, stage: EvalSetup, name: str) -> Suite:
    if name not in (known := [suite.name for suite in stage.suites]):
        raise InputError(f"{run.folder} has episodes of suite {name!r}, and its configuration names only {', '.join(known)}")
    return stage.suite(name)


def _require_own(run: StoredRun) -> None:
    """Raises InputError for a run of another tool."""
    if run.metadata.imported:
        raise InputError(f"{run.folder} was imported from {run.metadata.imported.get('tool')}: it has no actions to replay")


def _find(run: StoredRun, key: str) -> EpisodeRecord:
    record = find_episode(run, key)
    _require_own(run)
    if not record.actions or not record.trajectory_sha256:
        raise InputError(f"episode {key} ended in an error and has no actions to replay: {record.error}")
    return record


def _protocol(run: StoredRun) -> EvalProtocol:
    """The protocol as recorded in the run."""
    import msgspec

    stored = run.metadata.protocol or None
    try:
        return msgspec.convert(EvalProtocol.renamed(stored) if isinstance(stored, dict) else stored, EvalProtocol)
    except msgspec.ValidationError as error:
        raise InputError(f"run {run.name} has no valid protocol: {error}") from None


def _recorded_assets(run: StoredRun, suite: Suite) -> AssetPack:
    recorded = run.metadata.assets or {}
    try:
        return resolve_assets(suite, recorded.get("pack") or "auto")
    except (SuiteError, InputError):  # a pack named by its folder
        return resolve_assets(suite, recorded.get("path") or "auto")


def _options(suite: Suite, pack: AssetPack, backend: str, *, renders: bool) -> EnvOptions:
    gl = find_driver(suite).name if renders else "none"
    return EnvOptions(assets=pack.path, gl=gl, cache=str(ensure_cache_home()), backend=backend)


def _changed_versions(run: StoredRun, suite: Suite) -> Iterator[str]:
    recorded = run.metadata.versions or {}
    for name, now in call_suite(suite, "versions").items():
        if name in recorded and recorded[name] != now:
            yield f"{name} was {recorded[name]} and is {now}"


def _changed_assets(record: EpisodeRecord, pack: AssetPack) -> Iterator[str]:
    if record.assets.get("fingerprint") != pack.fingerprint:
        yield f"assets were {record.assets.get('pack')} {record.assets.get('fingerprint')} and are {pack.name} {pack.fingerprint}"

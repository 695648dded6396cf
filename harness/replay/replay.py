"""Play a stored episode again from its actions, hold the trajectory against the record, and show what was seen.

Drives a world in this process, with the same driver as a worker. A record is as good as its replay: the same states
to the bit, or a difference and what may have caused it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
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
from ...envs.errors import StoreError, SuiteError
from ...envs.paths import made_cache_home
from ...policies.base import ActionChunk
from ...results.store.integrity import read_actions
from ...results.store.reader import StoredRun
from ...results.store.records import EpisodeRecord
from ...results.summary import find
from ..config import parse
from ..errors import InputError
from ..execution.rollout import Done, Episode, Look
from ..planning.plan import Stage, find_stage
from ..rendering.backend import find_driver

Show = Callable[[EnvObservation], None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a replay is the recorded episode."""

    key: str
    steps: int
    recorded_sha256: str | None
    replayed_sha256: str
    success: bool | None
    """As recorded."""
    replayed_success: bool
    differences: tuple[str, ...] = ()
    """What is not as it was when the episode was recorded; may explain another trajectory."""

    @property
    def same(self) -> bool:
        """Whether every simulator state was the recorded one, to the bit."""
        return self.recorded_sha256 == self.replayed_sha256

    def to_json(self) -> dict[str, Any]:
        """JSON-able, with the verdict."""
        return {**asdict(self), "same": self.same}


class Filmed:
    """A world that shows what it sees after every step, decision or not. See `envs.base.Env` for the contract."""

    def __init__(self, world: Env, show: Show) -> None:
        self.world = world
        self.show = show
        self.action_size = world.action_size

    def reset(self, spec: EpisodeSpec, protocol: EvalProtocol, observation_spec: ObservationSpec) -> Reset:
        done = self.world.reset(spec, protocol, observation_spec)
        self.show(self.world.observation())
        return done

    def step(self, action: Array, *, observe: bool) -> bool:
        goal = self.world.step(action, observe=True)
        self.show(self.world.observation())
        return goal

    def observation(self) -> EnvObservation:
        return self.world.observation()

    def state(self) -> Array:
        return self.world.state()

    def render_seconds(self) -> float:
        return self.world.render_seconds()

    def close(self) -> None:
        self.world.close()


def replay(run: StoredRun, key: str, *, assets: str = "", show: Show | None = None, trusted: Collection[str] = ()) -> Verdict:
    """Play one stored episode of a run again.

    Args:
        run: the run, as read from its folder.
        key: the episode's key.
        assets: pack or folder to draw with; empty for the one that the run was played with.
        show: called with what both cameras see after the reset and after every step; None draws nothing.
        trusted: suites `module:attribute` that may be imported because the run names them.

    Raises:
        InputError: no such episode, or one without actions.
        SuiteError, MissingRequirementError: the world cannot be built here.
    """
    record = _find(run, key)
    with replaying(run, record.suite, assets=assets, show=show, trusted=trusted) as again:
        return again(record)


@contextmanager
def replaying(
    run: StoredRun,
    suite_name: str,
    *,
    assets: str = "",
    show: Show | None = None,
    observation_spec: ObservationSpec | None = None,
    trusted: Collection[str] = (),
) -> Iterator[Callable[[EpisodeRecord], Verdict]]:
    """A function that plays stored episodes of one suite again, one after the other in one world. See `replay`.

    `needs` is what `show` is shown; None for the pictures of all cameras.
    """
    stage = _stage(run, trusted)
    suite = stage.suite(suite_name)
    if stage.python != sys.executable:
        raise InputError(f"episodes of backend {stage.backend} were played in another interpreter and are not replayed from here")
    protocol = _protocol(run)
    pack = suite.resolve_assets(assets) if assets else _recorded_assets(run, suite)
    cameras = suite.cameras
    observation_spec = (
        (replace(observation_spec, cameras=cameras) if observation_spec else ObservationSpec(cameras=cameras))
        if show
        else ObservationSpec()
    )
    with closing(suite.make_env(_options(suite, pack, draws=show is not None))) as world:
        seen = Filmed(world, show) if show else world

        def again(record: EpisodeRecord) -> Verdict:
            done = play(seen, record.spec, protocol, observation_spec, _actions(run, record))
            changed = (*_changed_versions(run, suite), *_changed_assets(record, pack))
            sha256 = done.trajectory_sha256
            return Verdict(record.key, done.steps, record.trajectory_sha256, sha256, record.success, done.success, changed)

        yield again


def play(world: Env, spec: EpisodeSpec, protocol: EvalProtocol, observation_spec: ObservationSpec, actions: Array) -> Done:
    """Play all of the actions, [steps, action size], as one episode."""
    episode = Episode(world, spec, protocol, observation_spec, budget=len(actions))
    event: Look | Done = episode.start()
    while isinstance(event, Look):
        event = episode.play(ActionChunk(actions[event.step :]))
    return event


def _stage(run: StoredRun, trusted: Collection[str]) -> Stage:
    """The suites and the protocol of a run; what it names is not imported unless somebody else says so, too."""
    config = parse(run.run.get("config") or {})
    if foreign := [name for name in config.suite if ":" in name and name not in trusted]:
        raise InputError(
            f"run {run.name} was played on {foreign[0]}, which is code that replaying would import; where you trust it, "
            f"add --trust {foreign[0]}"
        )
    return find_stage(config)


def _find(run: StoredRun, key: str) -> EpisodeRecord:
    try:
        record = find(run, key)
    except KeyError as error:
        raise InputError(f"{error.args[0]}; see `nora-bench show {run.folder}`") from None
    if not record.actions or not record.trajectory_sha256:
        raise InputError(f"episode {key} ended in an error and has no actions to replay: {record.error}")
    return record


def _actions(run: StoredRun, record: EpisodeRecord) -> Array:
    try:
        return read_actions(run, record)
    except StoreError as error:
        raise InputError(str(error)) from None


def _protocol(run: StoredRun) -> EvalProtocol:
    """The protocol as it was when the run was made."""
    import msgspec

    stored = run.run.get("protocol")
    try:
        return msgspec.convert(EvalProtocol.renamed(stored) if isinstance(stored, dict) else stored, EvalProtocol)
    except msgspec.ValidationError as error:
        raise InputError(f"run {run.name} has no protocol to play by: {error}") from None


def _recorded_assets(run: StoredRun, suite: Suite) -> AssetPack:
    recorded = run.run.get("assets") or {}
    try:
        return suite.resolve_assets(recorded.get("pack") or "auto")
    except SuiteError:
        return suite.resolve_assets(recorded.get("path") or "auto")


def _options(suite: Suite, pack: AssetPack, *, draws: bool) -> EnvOptions:
    cache = made_cache_home()
    backend = find_driver(suite).name if draws else "none"
    return EnvOptions(assets=pack.path, gl=backend, cache=str(cache))


def _changed_versions(run: StoredRun, suite: Suite) -> Iterator[str]:
    recorded = run.run.get("versions") or {}
    for name, now in suite.versions().items():
        if name in recorded and recorded[name] != now:
            yield f"{name} was {recorded[name]} and is {now}"


def _changed_assets(record: EpisodeRecord, pack: AssetPack) -> Iterator[str]:
    if record.assets.get("fingerprint") != pack.fingerprint:
        yield f"assets were {record.assets.get('pack')} {record.assets.get('fingerprint')} and are {pack.name} {pack.fingerprint}"

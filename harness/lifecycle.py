"""One session at a run: open its folder, play what is missing, leave the folder in order.

A run may take several sessions (`--resume`). What decides its results is fixed by the first and checked by the others:
configuration, protocol, assets, policy fingerprint, versions.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from rich.console import Console

from ..envs.base import EnvOptions
from ..envs.errors import StoreError
from ..envs.paths import ensure_cache_home
from ..envs.specs import ActionConvention
from ..results.store.records import EpisodeRecord
from ..results.store.run_metadata import ConfigFields, PolicyFields, RunMetadata
from ..results.store.writer import Store
from . import run_sessions
from .cluster.runner import ClusterRunner, RayPolicyPool
from .config import HOW, RunConfig
from .errors import InputError, Interrupted, MissingRequirementError
from .execution.asset_guard import AssetGuard
from .execution.policy_host import LocalPolicyHost
from .execution.progress import ProgressCounts, show
from .execution.recorder import RunContext
from .execution.runner import RunLimits, Runner
from .execution.signals import stop_signals
from .execution.worker_process import WorkerSetup
from .planning import provenance
from .planning.resolve import ResolvedRun, find_assets
from .rendering.backend import NOTHING, find_driver
from .rendering.gl import Backend

CHECKED = ("config", "protocol", "assets")
"""Parts of run.json that a resumed run must find as they were."""


def create(resolved: ResolvedRun, passed: Mapping[str, Any]) -> Store:
    """The folder of a new run."""
    folder = Path(resolved.config.out) if resolved.config.out else _new_folder(resolved.config)
    session = run_sessions.begin()
    metadata = RunMetadata(
        name=folder.name,
        status="running",
        created=session.get("started"),
        finished=None,
        command=shlex.join(sys.argv),
        passed=dict(passed),
        config=cast(ConfigFields, {**resolved.config.to_json(), "out": str(folder)}),
        **resolved.facts(),
        versions=session.get("versions"),
        commit=session.get("commit"),
        hardware=session.get("hardware"),
        platform=session.get("platform"),
        utilisation={"wall_s": 0.0, "policy_s": 0.0, "workers_s": 0.0, "workers": resolved.workers},
        resumed=[],
        sessions=[session],
        unfinished={},
    )
    return Store.create(folder, metadata)


def reopen(resolved: ResolvedRun, folder: Path) -> Store:
    """The folder of a run that is to go on. Raises InputError where it would go on as another run."""
    store = Store.open(folder)
    try:
        metadata = store.metadata
        if metadata.merged:
            names = ", ".join(str(source.get("folder")) for source in metadata.merged)
            raise InputError(
                f"{folder} was merged from other runs and is not played; resume those ({names}) and merge them again"
            )
        found = {**resolved.facts(), "config": resolved.config.to_json()}
        for part in CHECKED:
            _require_same(folder, part, _essential(getattr(metadata, part)), _essential(found[part]))
        session = run_sessions.begin()
        store.update_metadata(
            status="running",
            finished=None,
            resumed=[*(metadata.resumed or []), session.get("started")],
            sessions=[*run_sessions.earlier(metadata), session],
            unfinished={**(metadata.unfinished or {}), **store.interrupted_starts()},
        )
    except BaseException:
        store.close()
        raise
    return store


def _essential(part: Any) -> Any:
    """A part of run.json without what may differ between two run_sessions."""
    return {name: value for name, value in (part or {}).items() if name not in {*HOW, "path"}}


def _require_same(folder: Path, part: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    now = json.loads(json.dumps(now))
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if not names:
        return
    changes = ", ".join(f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in names)
    raise InputError(f"{folder} cannot be resumed: its {part} has changed ({changes}). Start a new run with another --out")


def _new_folder(config: RunConfig) -> Path:
    """`runs/<suites>-<policy>`, with a number behind it where that is taken."""
    suites = "+".join(name.rpartition(":")[2] for name in config.suite)
    policy = re.sub(r"[^\w.]+", "-", config.policy) if "://" in config.policy else config.policy.rpartition(":")[2]
    name = f"{suites}-{policy.lower()}"
    number = 1
    while (folder := Path("runs") / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder


def announcement(resolved: ResolvedRun, store: Store) -> Iterator[str]:
    """What a user should know before the first episode, a line each."""
    config, setup, plan = resolved.config, resolved.setup, resolved.plan
    left, done = len(resolved.left(store.records()).episodes), len(store.keys())
    there = f" ({done} are there)" if done else ""
    yield (
        f"{left} episodes to play{there}: policy {config.policy}, protocol {setup.protocol.name} "
        f"v{setup.protocol.version}, assets {resolved.assets.name}, {resolved.workers} workers -> {store.folder}"
    )
    if plan.repeated:
        yield repeated(plan.repeated)


def repeated(count: int) -> str:
    """What is said about seeds that change nothing."""
    return (
        f"{count} more episodes would repeat these under other seeds (the policy is deterministic and the scene does not "
        "depend on the seed); they are not played, and every interval counts an episode once"
    )


def play(
    resolved: ResolvedRun,
    store: Store,
    gl: Backend,
    console: Console,
    over: Callable[[EpisodeRecord], None] = lambda record: None,
) -> dict[str, Any]:
    """Play what the store lacks; the run's `run.json` afterwards, which is in order however this ends.

    `over` is called with every finished episode before it is kept; the policy still knows it then.

    Raises Interrupted, PolicyFailedError, MissingRequirementError, InputError; what had finished is kept.
    """
    seat = _seat(resolved, store.make_folder("logs") / "policy.log")
    progress = show(_counts(resolved, store), console)
    runner = (ClusterRunner if isinstance(seat, RayPolicyPool) else Runner)(
        resolved.setup,
        _worker_setup(resolved, gl.name),
        seat,
        store,
        _run_facts(resolved),
        _limits(resolved),
        progress,
        on_ready=lambda versions: _settle(store, seat, gl, versions),
        until=resolved.until,
        over=_once_watched(resolved, over),
        before=cast(dict[str, Mapping[str, int]], store.metadata.unfinished or {}),
        schedule=resolved.schedule,
    )
    done, status = store.keys(), "failed"
    started = time.monotonic()
    try:
        with stop_signals() as stop:
            runner.run(resolved.left(store.records()).episodes, stop)
        status = "finished"
    except (Interrupted, KeyboardInterrupt):
        status = "interrupted"
        raise Interrupted("stopped") from None
    except StoreError as error:
        raise MissingRequirementError(str(error)) from None
    except OSError as error:
        raise MissingRequirementError(
            f"this machine refused: {error}. See `ulimit -a`, `free -g` and `df -h {store.folder}`"
        ) from None
    finally:
        progress.close()
        with nullcontext() if status == "finished" else suppress(StoreError):
            _conclude(store, status, done, {"wall_s": time.monotonic() - started, "policy_s": seat.busy_s}, runner, seat)
        if not resolved.caller_owns_policy:
            seat.close()
    return store.metadata.to_json()


def _limits(resolved: ResolvedRun) -> RunLimits:
    config = resolved.config
    return RunLimits(resolved.workers, config.timeout, config.retries, config.max_steps, config.policy_check)


def _seat(resolved: ResolvedRun, log: Path) -> LocalPolicyHost:
    if resolved.config.executor == "ray":
        return RayPolicyPool(resolved.config, resolved.policy, log, worlds=resolved.workers)
    return LocalPolicyHost(resolved.policy, log)


def find_render_backend(resolved: ResolvedRun) -> Backend:
    """What draws; nothing is tried where nobody looks."""
    if not resolved.policy.observation_spec.cameras:
        return NOTHING
    return find_driver(resolved.setup.suites[0], foreign=resolved.setup.python != sys.executable)


def _worker_setup(resolved: ResolvedRun, gl: str) -> WorkerSetup:
    cache = ensure_cache_home()
    assets = resolved.assets.path and str(Path(resolved.assets.path).absolute())  # workers run in another folder
    setup = resolved.setup
    options = EnvOptions(assets=assets, gl=gl, cache=str(cache.absolute()), backend=setup.backend)
    return WorkerSetup(setup.references[0], options, setup.protocol, resolved.policy.observation_spec, setup.python)


def _run_facts(resolved: ResolvedRun) -> RunContext:
    pack = {"pack": resolved.assets.name, "fingerprint": resolved.assets.fingerprint}
    conventions = {suite.name: ActionConvention.of(suite.action_spec) for suite in resolved.setup.suites}
    known = {name: convention for name, convention in conventions.items() if convention}
    return RunContext(resolved.config.policy, pack, resolved.setup.backend, known)


def _counts(resolved: ResolvedRun, store: Store) -> ProgressCounts:
    totals = Counter(spec.suite for spec in resolved.plan.episodes)
    return ProgressCounts.of(totals, (record for record in store.records() if record.suite in totals))


def _once_watched(resolved: ResolvedRun, over: Callable[[EpisodeRecord], None]) -> Callable[[EpisodeRecord], None]:
    """`over`, for records of episodes that were drawn with the run's assets; raises MissingRequirementError for others."""
    pack = resolved.assets
    watch = AssetGuard(pack.path, pack.fingerprint, lambda: find_assets(resolved.config.assets, resolved.setup).fingerprint)

    def checked(record: EpisodeRecord) -> None:
        watch.require_same()
        over(record)

    return checked


def _settle(store: Store, seat: LocalPolicyHost, gl: Backend, versions: Mapping[str, str]) -> str:
    """Write down what only a started policy and a built world can say; the digest of the conditions.

    On a resumed run it is held against what is there, and stands in the session alone.
    """
    run = store.metadata
    before = run.policy or {}
    recorded = before.get("fingerprint")
    policy: PolicyFields = {**before, "fingerprint": run_sessions.with_arguments(seat.fingerprint(), before)}
    versions = {**provenance.versions(), **versions, "cpu": provenance.cpu_model()}
    drawing = {"backend": gl.name, "renderer": gl.renderer}
    resumed = recorded is not None
    if resumed:
        known = {**before, "fingerprint": run_sessions.with_arguments(recorded, before)}
        _require_same(store.folder, "policy", known, policy)
        _require_same(store.folder, "versions", run_sessions.deciding(run.versions or {}), run_sessions.deciding(versions))
        _require_same(store.folder, "gl", run.gl or {}, drawing)
    first = {} if resumed else {"policy": policy, "versions": versions, "gl": drawing}
    conditions = run_sessions.conditions(run.update(policy=policy), drawing, versions)
    *earlier, session = list(run.sessions or ())
    digests = {"policy_fingerprint": run_sessions.short_digest(policy.get("fingerprint")), "conditions": conditions}
    store.update_metadata(**first, sessions=[*earlier, {**session, "versions": versions, "gl": drawing, **digests}])
    return conditions


def _conclude(
    store: Store, status: str, before: set[str], seconds: Mapping[str, float], runner: Runner, seat: LocalPolicyHost
) -> None:
    records = store.records()
    played = [record for record in records if record.key not in before]
    working = sum(record.seconds.get(name, 0.0) for record in played for name in ("reset", "step", "render"))
    previous: Mapping[str, Any] = store.metadata.utilisation or {}
    used = {name: round(previous[name] + value, 3) for name, value in {**seconds, "workers_s": working}.items()}
    used = {**previous, **used, "worker_peak_gib": round(runner.peak_gib, 3)}
    ended = run_sessions.now()
    *earlier, session = list(store.metadata.sessions or ())
    store.update_metadata(
        status=status,
        finished=ended,
        sessions=[*earlier, {**session, "finished": ended, "status": status}],
        unfinished=runner.unfinished,
        counts={
            **(store.metadata.counts or {}),
            "done": len(records),
            "errors": sum(record.success is None for record in records),
        },
        utilisation=used,
        **({"until": asdict(runner.until.verdict)} if runner.until else {}),
    )
    store.clear_starts()
    if measured := seat.metrics():  # after all else is written: this asks the policy, which may fail
        store.update_metadata(utilisation={**used, "policy": measured})


def resume_command(folder: Path) -> str:
    """What continues the run in that folder."""
    return f"nora-bench run --resume --out {shlex.quote(str(folder))}"

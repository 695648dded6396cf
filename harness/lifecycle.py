"""Run lifecycle: create or reopen the folder, run the missing episodes, write the final state.

A run may take several sessions (`--resume`). Everything that decides its results is fixed by the first session and checked by
the others: configuration, protocol, assets, policy fingerprint, versions.
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

from ..envs.errors import InputError, Interrupted, MissingRequirementError, StoreError
from ..envs.paths import ensure_cache_home
from ..results.store.records import EpisodeRecord, now
from ..results.store.run_metadata import ConfigFields, PolicyFields, RunMetadata
from ..results.store.writer import Store
from . import run_sessions
from .config import EXECUTION_ONLY, RunConfig
from .execution.asset_guard import AssetGuard
from .execution.ledger import EpisodeLedger, Executor
from .execution.local import LocalExecutor
from .execution.policy_host import LocalPolicyHost, PolicyHost
from .execution.progress import ProgressCounts, show
from .execution.signals import stop_signals
from .planning import provenance
from .planning.resolve import ResolvedRun, find_assets
from .rendering.backend import NO_RENDERING, find_driver
from .rendering.gl import Backend

CHECKED = ("config", "protocol", "assets")
"""Parts of run.json that a resumed run must not change."""
DESCRIPTIVE = ("path", "source", "notes")
"""Fields of those parts that change no result: the pack's place, the protocol's texts."""


def create(resolved: ResolvedRun, passed: Mapping[str, Any]) -> Store:
    """Create the folder of a new run."""
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
    """Open the folder of a run to resume it. Raises InputError where it would become another run."""
    store = Store.open(folder)
    try:
        metadata = store.metadata
        if metadata.merged:
            names = ", ".join(str(source.get("folder")) for source in metadata.merged)
            raise InputError(
                f"{folder} was merged from other runs and cannot be resumed; resume those ({names}) and merge them again"
            )
        current = {**resolved.facts(), "config": resolved.config.to_json()}
        for part in CHECKED:
            _require_same(folder, part, _essential(getattr(metadata, part)), _essential(current[part]))
        _require_same(folder, "simulator", {"backend": metadata.backend or ""}, {"backend": resolved.setup.backend})
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
    """A part of run.json without what may differ between two sessions."""
    return {name: value for name, value in (part or {}).items() if name not in {*EXECUTION_ONLY, *DESCRIPTIVE}}


def _require_same(folder: Path, part: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    now = json.loads(json.dumps(now))
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if not names:
        return
    changes = ", ".join(f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in names)
    raise InputError(f"{folder} cannot be resumed: its {part} has changed ({changes}). Start a new run with another --out")


def _new_folder(config: RunConfig) -> Path:
    """`runs/<suites>-<policy>`, with a number appended where that is taken."""
    suites = "+".join(name.rpartition(":")[2] for name in config.suite)
    policy = re.sub(r"[^\w.]+", "-", config.policy) if "://" in config.policy else config.policy.rpartition(":")[2]
    name = f"{suites}-{policy.lower()}"
    number = 1
    while (folder := Path("runs") / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder


def announcement(resolved: ResolvedRun, store: Store) -> Iterator[str]:
    """Lines to print before the first episode."""
    config, setup, plan = resolved.config, resolved.setup, resolved.plan
    due, recorded = len(resolved.remaining(store.records()).episodes), len(store.keys())
    finished = f" ({recorded} are finished)" if recorded else ""
    yield (
        f"{due} episodes to run{finished}: policy {config.policy}, protocol {setup.protocol.name} "
        f"v{setup.protocol.version}, assets {resolved.assets.name}, {resolved.workers} workers -> {store.folder}"
    )
    if plan.repeated:
        yield repeated(plan.repeated)
    yield from excluded(plan.excluded)


def excluded(causes: Mapping[str, int]) -> Iterator[str]:
    """Notes on perturbed episodes that are not run."""
    for cause, count in causes.items():
        yield f"{count} perturbed episodes are not run: {cause}"


def repeated(count: int) -> str:
    """The note on seeds that change nothing."""
    return (
        f"{count} more episodes would repeat these under other seeds (the policy is deterministic and the scene does not "
        "depend on the seed); they are omitted, and every interval counts an episode once"
    )


def run_session(
    resolved: ResolvedRun,
    store: Store,
    gl: Backend,
    console: Console,
    on_record: Callable[[EpisodeRecord], None] = lambda record: None,
) -> dict[str, Any]:
    """Run the episodes that the store lacks; the run's `run.json` afterwards, which is written however this ends.

    `on_record` is called with every finished episode before it is kept; the policy still has its state then.

    Raises Interrupted, PolicyFailedError, MissingRequirementError, InputError; finished episodes are kept.
    """
    ensure_cache_home()
    executor = _executor(resolved, gl.name, store.make_folder("logs") / "policy.log")
    host = executor.policy_host
    totals = Counter(spec.suite for spec in resolved.plan.episodes)
    progress = show(ProgressCounts.of(totals, (record for record in store.records() if record.suite in totals)), console)
    pack, assets = resolved.assets, resolved.config.assets
    guard = AssetGuard(pack.path, pack.fingerprint, lambda: find_assets(assets, resolved.setup).fingerprint)

    def checked(record: EpisodeRecord) -> None:
        guard.require_same()
        on_record(record)

    ledger = EpisodeLedger(
        resolved, host, store, progress, lambda versions: _record_runtime(store, host, gl, versions), on_record=checked
    )
    recorded, status, started = store.keys(), "failed", time.monotonic()
    try:
        with stop_signals() as stop:
            executor.run(ledger, stop)
        status = "finished"
    except (Interrupted, KeyboardInterrupt):
        status = "interrupted"
        raise Interrupted("stopped") from None
    except StoreError as error:
        raise MissingRequirementError(str(error)) from None
    except OSError as error:
        raise MissingRequirementError(
            f"the operating system refused: {error}. See `ulimit -a`, `free -g` and `df -h {store.folder}`"
        ) from None
    finally:
        progress.close()
        with nullcontext() if status == "finished" else suppress(StoreError):
            _finalize(store, status, recorded, time.monotonic() - started, ledger)
        if not resolved.caller_owns_policy:
            host.close()
    return store.metadata.to_json()


def _executor(resolved: ResolvedRun, gl: str, log: Path) -> Executor:
    """The configured executor. `gl`: the rendering backend's name; `log`: the policy's log."""
    if resolved.config.executor == "local":
        return LocalExecutor(resolved.worker_setup(gl), LocalPolicyHost(resolved.policy, log))
    from .cluster.executor import RayExecutor, RayPolicyPool

    return RayExecutor(resolved.worker_setup(gl), resolved.assets, RayPolicyPool(resolved, log))


def find_render_backend(resolved: ResolvedRun) -> Backend:
    """The rendering backend of this machine; none is tried for a policy without cameras."""
    if not resolved.policy.observation_spec.cameras:
        return NO_RENDERING
    return find_driver(resolved.setup.suites[0], foreign=resolved.setup.python != sys.executable)


def _record_runtime(store: Store, policy_host: PolicyHost, gl: Backend, versions: Mapping[str, str]) -> str:
    """Write the facts that are known once policy and environment have started; the digest of the conditions.

    In a resumed run they are compared with the stored ones and written to the session only.
    """
    run = store.metadata
    before = run.policy or {}
    recorded = before.get("fingerprint")
    policy: PolicyFields = {**before, "fingerprint": run_sessions.with_arguments(policy_host.fingerprint(), before)}
    versions = {**provenance.versions(), **versions, "cpu": provenance.cpu_model()}
    rendering = {"backend": gl.name, "renderer": gl.renderer}
    resumed = recorded is not None
    if resumed:
        stored = {**before, "fingerprint": run_sessions.with_arguments(recorded, before)}
        _require_same(store.folder, "policy", stored, policy)
        _require_same(store.folder, "versions", run_sessions.deciding(run.versions or {}), run_sessions.deciding(versions))
        _require_same(store.folder, "gl", run.gl or {}, rendering)
    first = {} if resumed else {"policy": policy, "versions": versions, "gl": rendering}
    conditions = run_sessions.conditions(run.update(policy=policy), rendering, versions)
    *earlier, session = list(run.sessions or ())
    digests = {"policy_fingerprint": run_sessions.short_digest(policy.get("fingerprint")), "conditions": conditions}
    store.update_metadata(**first, sessions=[*earlier, {**session, "versions": versions, "gl": rendering, **digests}])
    return conditions


def _finalize(store: Store, status: str, before: set[str], wall_s: float, ledger: EpisodeLedger) -> None:
    """Write the state of a session that ended; `before`: keys of the episodes recorded when it began."""
    host = ledger.policy_host
    records = store.records()
    new = [record for record in records if record.key not in before]
    seconds = {"wall_s": wall_s, "policy_s": host.busy_s, "workers_s": 0.0}
    seconds["workers_s"] = sum(record.seconds.get(name, 0.0) for record in new for name in ("reset", "step", "render"))
    previous: Mapping[str, Any] = store.metadata.utilisation or {}
    used = {name: round(previous[name] + value, 3) for name, value in seconds.items()}
    used = {**previous, **used, "worker_peak_gib": round(ledger.peak_gib, 3)}
    ended = now()
    *earlier, session = list(store.metadata.sessions or ())
    store.update_metadata(
        status=status,
        finished=ended,
        sessions=[*earlier, {**session, "finished": ended, "status": status}],
        unfinished=ledger.unfinished,
        counts={
            **(store.metadata.counts or {}),
            "done": len(records),
            "errors": sum(record.success is None for record in records),
        },
        utilisation=used,
        **({"until": asdict(ledger.until.verdict)} if ledger.until else {}),
    )
    store.clear_starts()
    if metrics := host.metrics():  # after all else is written: this calls the policy, which may fail
        store.update_metadata(utilisation={**used, "policy": metrics})


def resume_command(folder: Path) -> str:
    """The command that resumes the run in that folder."""
    return f"nora-bench run --resume --out {shlex.quote(str(folder))}"

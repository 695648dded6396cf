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
from typing import Any

from rich.console import Console

from ..envs.base import ActionConvention, EnvOptions
from ..envs.errors import StoreError
from ..envs.paths import made_cache_home
from ..results.store.records import EpisodeRecord
from ..results.store.writer import Store
from . import run_sessions
from .cluster.runner import ClusterRunner, Replicas
from .config import EXECUTION_ONLY, RunConfig
from .errors import InputError, Interrupted, MissingRequirementError
from .execution.asset_guard import AssetWatch
from .execution.policy_host import PolicySeat
from .execution.progress import Tally, show
from .execution.recorder import RunFacts
from .execution.runner import Limits, Runner
from .execution.signals import stop_signals
from .execution.worker_process import WorkerSetup
from .planning import provenance
from .planning.resolve import Prepared, find_assets
from .rendering.backend import NO_RENDERING, find_driver
from .rendering.gl import Backend

CHECKED = ("config", "protocol", "assets")
"""Parts of run.json that a resumed run must find as they were."""


def create(prepared: Prepared, passed: Mapping[str, Any]) -> Store:
    """The folder of a new run."""
    folder = Path(prepared.config.out) if prepared.config.out else _new_folder(prepared.config)
    session = run_sessions.begin()
    run = {
        "name": folder.name,
        "status": "running",
        "created": session["started"],
        "finished": None,
        "command": shlex.join(sys.argv),
        "passed": dict(passed),
        "config": {**prepared.config.to_json(), "out": str(folder)},
        **prepared.facts(),
        **{name: session[name] for name in run_sessions.PLACE},
        "utilisation": {"wall_s": 0.0, "policy_s": 0.0, "workers_s": 0.0, "workers": prepared.workers},
        "resumed": [],
        "sessions": [session],
        "unfinished": {},
    }
    return Store.create(folder, run)


def reopen(prepared: Prepared, folder: Path) -> Store:
    """The folder of a run that is to go on. Raises InputError where it would go on as another run."""
    store = Store.open(folder)
    try:
        if store.run.get("merged"):
            names = ", ".join(str(one.get("folder")) for one in store.run["merged"])
            raise InputError(
                f"{folder} was merged from other runs and is not played; resume those ({names}) and merge them again"
            )
        found = {**prepared.facts(), "config": prepared.config.to_json()}
        for part in CHECKED:
            _require_same(folder, part, _essential(store.run.get(part)), _essential(found[part]))
        session = run_sessions.begin()
        store.update_run(
            status="running",
            finished=None,
            resumed=[*store.run.get("resumed", []), session["started"]],
            sessions=[*run_sessions.earlier(store.run), session],
            unfinished={**(store.run.get("unfinished") or {}), **store.left_begun()},
        )
    except BaseException:
        store.close()
        raise
    return store


def _essential(part: Any) -> Any:
    """A part of run.json without what may differ between two run_sessions."""
    return {name: value for name, value in (part or {}).items() if name not in {*EXECUTION_ONLY, "path"}}


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


def announcement(prepared: Prepared, store: Store) -> Iterator[str]:
    """What a user should know before the first episode, a line each."""
    config, stage, plan = prepared.config, prepared.stage, prepared.plan
    left, done = len(prepared.left(store.records()).episodes), len(store.keys())
    there = f" ({done} are there)" if done else ""
    yield (
        f"{left} episodes to play{there}: policy {config.policy}, protocol {stage.protocol.name} "
        f"v{stage.protocol.version}, assets {prepared.assets.name}, {prepared.workers} workers -> {store.folder}"
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
    prepared: Prepared,
    store: Store,
    gl: Backend,
    console: Console,
    over: Callable[[EpisodeRecord], None] = lambda record: None,
) -> dict[str, Any]:
    """Play what the store lacks; the run's `run.json` afterwards, which is in order however this ends.

    `over` is called with every finished episode before it is kept; the policy still knows it then.

    Raises Interrupted, PolicyFailedError, MissingRequirementError, InputError; what had finished is kept.
    """
    seat = _seat(prepared, store.make_folder("logs") / "policy.log")
    progress = show(_tally(prepared, store), console)
    runner = (ClusterRunner if isinstance(seat, Replicas) else Runner)(
        prepared.stage,
        _worker_setup(prepared, gl.name),
        seat,
        store,
        _run_facts(prepared),
        _limits(prepared),
        progress,
        on_ready=lambda versions: _settle(store, seat, gl, versions),
        until=prepared.until,
        over=_once_watched(prepared, over),
        before=store.run.get("unfinished") or {},
        schedule=prepared.schedule,
    )
    done, status = store.keys(), "failed"
    started = time.monotonic()
    try:
        with stop_signals() as stop:
            runner.run(prepared.left(store.records()).episodes, stop)
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
        if not prepared.borrowed:
            seat.close()
    return store.run


def _limits(prepared: Prepared) -> Limits:
    config = prepared.config
    return Limits(prepared.workers, config.timeout, config.retries, config.max_steps, config.policy_check)


def _seat(prepared: Prepared, log: Path) -> PolicySeat:
    if prepared.config.executor == "ray":
        return Replicas(prepared.config, prepared.policy, log, worlds=prepared.workers)
    return PolicySeat(prepared.policy, log)


def draw_with(prepared: Prepared) -> Backend:
    """What draws; nothing is tried where nobody looks."""
    if not prepared.policy.observation_spec.cameras:
        return NO_RENDERING
    return find_driver(prepared.stage.suites[0], foreign=prepared.stage.python != sys.executable)


def _worker_setup(prepared: Prepared, gl: str) -> WorkerSetup:
    cache = made_cache_home()
    assets = prepared.assets.path and str(Path(prepared.assets.path).absolute())  # workers run in another folder
    stage = prepared.stage
    options = EnvOptions(assets=assets, gl=gl, cache=str(cache.absolute()), backend=stage.backend)
    return WorkerSetup(stage.references[0], options, stage.protocol, prepared.policy.observation_spec, stage.python)


def _run_facts(prepared: Prepared) -> RunFacts:
    pack = {"pack": prepared.assets.name, "fingerprint": prepared.assets.fingerprint}
    conventions = {suite.name: getattr(suite, "actions", None) for suite in prepared.stage.suites}
    known = {name: one for name, one in conventions.items() if isinstance(one, ActionConvention)}
    return RunFacts(prepared.config.policy, pack, prepared.stage.backend, known)


def _tally(prepared: Prepared, store: Store) -> Tally:
    totals = Counter(spec.suite for spec in prepared.plan.episodes)
    return Tally.of(totals, (record for record in store.records() if record.suite in totals))


def _once_watched(prepared: Prepared, over: Callable[[EpisodeRecord], None]) -> Callable[[EpisodeRecord], None]:
    """`over`, for records of episodes that were drawn with the run's assets; raises MissingRequirementError for others."""
    pack = prepared.assets
    watch = AssetWatch(pack.path, pack.fingerprint, lambda: find_assets(prepared.config.assets, prepared.stage).fingerprint)

    def checked(record: EpisodeRecord) -> None:
        watch.require_same()
        over(record)

    return checked


def _settle(store: Store, seat: PolicySeat, gl: Backend, versions: Mapping[str, str]) -> str:
    """Write down what only a started policy and a built world can say; the digest of the conditions.

    On a resumed run it is held against what is there, and stands in the session alone.
    """
    run = store.run
    policy = {**run["policy"], "fingerprint": run_sessions.with_arguments(seat.fingerprint(), run["policy"])}
    versions = {**provenance.versions(), **versions, "cpu": provenance.cpu_model()}
    drawing = {"backend": gl.name, "renderer": gl.renderer}
    resumed = "fingerprint" in run["policy"]
    if resumed:
        known = {**run["policy"], "fingerprint": run_sessions.with_arguments(run["policy"]["fingerprint"], run["policy"])}
        _require_same(store.folder, "policy", known, policy)
        _require_same(store.folder, "versions", run_sessions.deciding(run["versions"]), run_sessions.deciding(versions))
        _require_same(store.folder, "gl", run["gl"], drawing)
    first = {} if resumed else {"policy": policy, "versions": versions, "gl": drawing}
    conditions = run_sessions.conditions({**run, "policy": policy}, drawing, versions)
    *before, own = run["sessions"]
    digests = {"policy_fingerprint": run_sessions.short_digest(policy["fingerprint"]), "conditions": conditions}
    store.update_run(**first, sessions=[*before, {**own, "versions": versions, "gl": drawing, **digests}])
    return conditions


def _conclude(
    store: Store, status: str, before: set[str], seconds: Mapping[str, float], runner: Runner, seat: PolicySeat
) -> None:
    records = store.records()
    played = [record for record in records if record.key not in before]
    working = sum(record.seconds.get(name, 0.0) for record in played for name in ("reset", "step", "render"))
    used = {name: round(store.run["utilisation"][name] + value, 3) for name, value in {**seconds, "workers_s": working}.items()}
    used = {**store.run["utilisation"], **used, "worker_peak_gib": round(runner.peak_gib, 3)}
    ended = run_sessions.now()
    *earlier, session = store.run["sessions"]
    store.update_run(
        status=status,
        finished=ended,
        sessions=[*earlier, {**session, "finished": ended, "status": status}],
        unfinished=runner.unfinished,
        counts={**store.run["counts"], "done": len(records), "errors": sum(record.success is None for record in records)},
        utilisation=used,
        **({"until": asdict(runner.until.verdict)} if runner.until else {}),
    )
    store.forget_begun()
    if measured := seat.metrics():  # after all else is written: this asks the policy, which may fail
        store.update_run(utilisation={**used, "policy": measured})


def resume_command(folder: Path) -> str:
    """What continues the run in that folder."""
    return f"nora-bench run --resume --out {shlex.quote(str(folder))}"

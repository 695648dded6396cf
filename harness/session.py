"""One sitting at a run: look everything up, open its folder, play what is missing, leave the folder in order.

A run may take several sittings (`--resume`). What decides its results is fixed by the first and checked by the others:
configuration, protocol, assets, policy fingerprint, versions.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from ..envs.base import AssetPack, WorldOptions
from ..envs.paths import cache_home
from ..policies.base import Policy
from ..policies.registry import load
from ..results.records import EpisodeRecord
from ..results.store import Store, StoreError
from . import provenance
from .asset_watch import AssetWatch
from .cluster_runner import ClusterRunner, Replicas, choose_worlds
from .config import HOW, RunConfig
from .decide import PolicySeat
from .drawing import NOTHING, find_driver
from .errors import InputError, Interrupted, NotAble
from .estimate import choose_workers
from .gl import Backend
from .plan import Plan, Stage, find_stage, make_plan
from .pool import WorkerSetup
from .progress import Tally, show
from .recording import RunFacts
from .runner import Limits, Runner
from .until import Until, make_until

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CHECKED = ("config", "protocol", "assets")
"""Parts of run.json that a resumed run must find as they were."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run with every name looked up; nothing has been written or started."""

    config: RunConfig
    stage: Stage
    policy: Policy
    plan: Plan
    assets: AssetPack
    workers: int
    until: Until | None = None
    """Its plan is this run's plan."""
    borrowed: bool = False
    """Whether the policy is somebody else's to close."""

    def left(self, records: Iterable[EpisodeRecord]) -> Plan:
        """What is still to be played; nothing where `--until` has enough."""
        records = list(records)
        if self.until and self.until.recall(records).stop:
            return Plan((), 0)
        return self.plan.without({record.key for record in records})

    def facts(self) -> dict[str, Any]:
        """What run.json says about it."""
        needs = asdict(self.policy.needs)
        return {
            "suites": [suite.name for suite in self.stage.suites],
            "backend": self.stage.backend,
            "protocol": asdict(self.stage.protocol),
            "policy": {
                "name": self.config.policy,
                "args": dict(self.config.policy_arg),
                "stochastic": self.policy.stochastic,
                "marks": list(self.policy.marks),
                "needs": {**needs, "cameras": list(needs["cameras"])},
            },
            "assets": {"pack": self.assets.name, "fingerprint": self.assets.fingerprint, "path": self.assets.path},
            "counts": {"planned": len(self.plan.episodes), "repeated": self.plan.repeated, "done": 0, "errors": 0},
        }


def prepare(config: RunConfig, policy: Policy | None = None, *, borrowed: bool = False) -> Prepared:
    """Look up suites, protocol, policy (unless given) and assets, and make the plan.

    Raises InputError, NotAble, PolicyError, SuiteError.
    """
    stage = find_stage(config)
    policy = policy or load(config.policy, config.policy_arg)
    _require_cameras(stage, policy)
    plan = make_plan(config, stage, stochastic=policy.stochastic)
    until = make_until(config.until, plan.episodes) if config.until else None
    plan = replace(plan, episodes=until.episodes()) if until else plan
    workers = _workers(config, stage, len(plan.episodes), borrowed=borrowed)
    return Prepared(config, stage, policy, plan, _find_assets(config.assets, stage), workers, until, borrowed)


def _require_cameras(stage: Stage, policy: Policy) -> None:
    """Raises InputError where the policy wants to look through a camera that the suite does not have."""
    there = getattr(stage.suites[0], "cameras", policy.needs.cameras)
    if lacking := [camera for camera in policy.needs.cameras if camera not in there]:
        raise InputError(
            f"{stage.suites[0].name} has no {' and no '.join(lacking)} camera, which the policy wants; it has {', '.join(there)}"
        )


def _workers(config: RunConfig, stage: Stage, episodes: int, *, borrowed: bool) -> int:
    """How many worlds play at once."""
    if config.executor == "local":
        if config.policy_replicas > 1:
            raise InputError("--policy-replicas needs --executor ray, which works on one machine, too")
        return choose_workers(config.workers, stage.suites[0], episodes)
    if borrowed:
        raise InputError("--executor ray builds the policy on the cluster, so it must be given by its name")
    if stage.python != sys.executable:
        raise NotAble("--executor ray plays suites in nora-bench's own interpreter; play this one with local workers")
    return choose_worlds(config, episodes)


def _find_assets(wanted: str, stage: Stage) -> AssetPack:
    packs = {suite.name: suite.resolve_assets(wanted) for suite in stage.suites}
    if len({pack.fingerprint for pack in packs.values()}) > 1:
        found = ", ".join(f"{suite} has {pack.name}" for suite, pack in packs.items())
        raise NotAble(f"the suites of this run would be drawn with different assets ({found}); name one pack with --assets")
    return next(iter(packs.values()))


def create(prepared: Prepared, passed: Mapping[str, Any]) -> Store:
    """The folder of a new run."""
    folder = Path(prepared.config.out) if prepared.config.out else _new_folder(prepared.config)
    run = {
        "name": folder.name,
        "status": "running",
        "created": _now(),
        "finished": None,
        "command": shlex.join(sys.argv),
        "passed": dict(passed),
        "config": {**prepared.config.to_json(), "out": str(folder)},
        **prepared.facts(),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "hardware": provenance.hardware(),
        "platform": provenance.host(),
        "utilisation": {"wall_s": 0.0, "policy_s": 0.0, "workers_s": 0.0, "workers": prepared.workers},
        "resumed": [],
    }
    return Store.create(folder, run)


def reopen(prepared: Prepared, folder: Path) -> Store:
    """The folder of a run that is to go on. Raises InputError where it would go on as another run."""
    store = Store.open(folder)
    try:
        found = {**prepared.facts(), "config": prepared.config.to_json()}
        for part in CHECKED:
            _require_same(folder, part, _essential(store.run.get(part)), _essential(found[part]))
        store.update_run(status="running", finished=None, resumed=[*store.run.get("resumed", []), _now()])
    except BaseException:
        store.close()
        raise
    return store


def _essential(part: Any) -> Any:
    """A part of run.json without what may differ between two sittings."""
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

    Raises Interrupted, PolicyFailed, NotAble, InputError; what had finished is kept.
    """
    seat = _seat(prepared, store.make_folder("logs") / "policy.log")
    progress = show(_tally(prepared, store), console)
    runner = (ClusterRunner if isinstance(seat, Replicas) else Runner)(
        prepared.stage,
        _worker_setup(prepared, gl.name),
        seat,
        store,
        _run_facts(prepared),
        Limits(prepared.workers, prepared.config.timeout, prepared.config.retries, prepared.config.max_steps),
        progress,
        on_ready=lambda versions: _settle(store, seat, gl, versions),
        until=prepared.until,
        over=_once_watched(prepared, over),
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
        raise NotAble(str(error)) from None
    except OSError as error:
        raise NotAble(f"this machine refused: {error}. See `ulimit -a`, `free -g` and `df -h {store.folder}`") from None
    finally:
        progress.close()
        with nullcontext() if status == "finished" else suppress(StoreError):
            _conclude(store, status, done, {"wall_s": time.monotonic() - started, "policy_s": seat.busy_s}, runner, seat)
        if not prepared.borrowed:
            seat.close()
    return store.run


def _seat(prepared: Prepared, log: Path) -> PolicySeat:
    if prepared.config.executor == "ray":
        return Replicas(prepared.config, prepared.policy, log, worlds=prepared.workers)
    return PolicySeat(prepared.policy, log)


def draw_with(prepared: Prepared) -> Backend:
    """What draws; nothing is tried where nobody looks."""
    if not prepared.policy.needs.cameras:
        return NOTHING
    return find_driver(prepared.stage.suites[0], foreign=prepared.stage.python != sys.executable)


def _worker_setup(prepared: Prepared, gl: str) -> WorkerSetup:
    cache = cache_home()
    cache.mkdir(parents=True, exist_ok=True)
    assets = prepared.assets.path and str(Path(prepared.assets.path).absolute())  # workers run in another folder
    stage = prepared.stage
    options = WorldOptions(assets=assets, gl=gl, cache=str(cache.absolute()), backend=stage.backend)
    return WorkerSetup(stage.references[0], options, stage.protocol, prepared.policy.needs, stage.python)


def _run_facts(prepared: Prepared) -> RunFacts:
    pack = {"pack": prepared.assets.name, "fingerprint": prepared.assets.fingerprint}
    return RunFacts(prepared.config.policy, pack, prepared.stage.backend)


def _tally(prepared: Prepared, store: Store) -> Tally:
    totals = Counter(spec.suite for spec in prepared.plan.episodes)
    return Tally.of(totals, (record for record in store.records() if record.suite in totals))


def _once_watched(prepared: Prepared, over: Callable[[EpisodeRecord], None]) -> Callable[[EpisodeRecord], None]:
    """`over`, for records of episodes that were drawn with the run's assets; raises NotAble for others."""
    pack = prepared.assets
    watch = AssetWatch(pack.path, pack.fingerprint, lambda: _find_assets(prepared.config.assets, prepared.stage).fingerprint)

    def checked(record: EpisodeRecord) -> None:
        watch.require_same()
        over(record)

    return checked


def _settle(store: Store, seat: PolicySeat, gl: Backend, versions: Mapping[str, str]) -> None:
    """Write down what only a started policy and a built world can say; on a resumed run, hold it against what is there."""
    policy = {**store.run["policy"], "fingerprint": seat.fingerprint()}
    versions = {**provenance.versions(), **versions, "cpu": provenance.cpu_model()}
    drawing = {"backend": gl.name, "renderer": gl.renderer}
    if "fingerprint" in store.run["policy"]:
        _require_same(store.folder, "policy", store.run["policy"], policy)
        _require_same(store.folder, "versions", _deciding(store.run["versions"]), _deciding(versions))
        _require_same(store.folder, "gl", store.run["gl"], drawing)
    store.update_run(policy=policy, versions=versions, gl=drawing)


def _deciding(versions: Mapping[str, str]) -> dict[str, str]:
    """Versions without which two sittings may differ and still belong to one run."""
    return {name: version for name, version in versions.items() if name not in ("nora-bench", "msgpack", "cpu")}


def _conclude(
    store: Store, status: str, before: set[str], seconds: Mapping[str, float], runner: Runner, seat: PolicySeat
) -> None:
    records = store.records()
    played = [record for record in records if record.key not in before]
    working = sum(record.seconds.get(name, 0.0) for record in played for name in ("reset", "step", "render"))
    used = {name: round(store.run["utilisation"][name] + value, 3) for name, value in {**seconds, "workers_s": working}.items()}
    measured = {"policy": found} if (found := seat.measured()) else {}
    store.update_run(
        status=status,
        finished=_now(),
        counts={**store.run["counts"], "done": len(records), "errors": sum(record.success is None for record in records)},
        utilisation={**store.run["utilisation"], **used, "worker_peak_gib": round(runner.peak_gib, 3), **measured},
        **({"until": asdict(runner.until.verdict)} if runner.until else {}),
    )


def resume_command(folder: Path) -> str:
    """What continues the run in that folder."""
    return f"nora-bench run --resume --out {shlex.quote(str(folder))}"


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C, SIGTERM or SIGHUP has come; a second Ctrl-C raises KeyboardInterrupt.

    Signals come to the main thread only; in another, nothing is heeded.
    """
    came = False
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    heeded = [number for number in STOP_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # nohup ignores SIGHUP
    before = {number: signal.signal(number, note) for number in heeded}
    try:
        yield lambda: came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

"""Ray executor: environments and policy replicas as actors on a cluster, one ledger in this process.

Same plan, same records, one writer; only the environments are elsewhere. An episode whose environment, node or replica was lost
is retried. Environments for which the cluster has no room yet wait until a node joins.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...envs.base import AssetPack
from ...envs.errors import Interrupted, MissingRequirementError, PolicyFailedError
from ...envs.registry import absolute_reference
from ...policies.base import PolicyContext
from ..config import AUTO, RunConfig
from ..execution.ledger import EpisodeLedger
from ..execution.policy_host import LocalPolicyHost
from ..execution.recorder import MACHINE, POLICY, ActiveEpisode
from ..execution.worker_process import environment, import_path
from ..planning.run_settings import WorkerSetup
from ..ray_connection import connect
from .actors import ActorResult, EnvActor, PolicyActor

if TYPE_CHECKING:
    from ..planning.resolve import ResolvedRun

TICK_S = 0.1
"""Seconds that the executor waits for an episode to end before it shows progress and checks for a stop."""
NOTE_S = 60
"""Seconds after which a run without any environment states what it waits for."""
GPU_PARTS = 10_000
"""Parts of a GPU that Ray distinguishes."""
MAX_BATCH = 64
"""Most observations of one call of a replica's policy."""
EXTRA_CALLS = 8
"""Concurrent calls of a replica beside one per environment."""


@dataclass(slots=True)
class ActorSlot:
    """An environment on the cluster, replaced when it is lost, and its current episode."""

    number: int
    actor: Any = None
    replica: Any = None
    active: ActiveEpisode | None = None


class RayExecutor:
    """Runs episodes on a Ray cluster. See `execution.ledger.Executor` for the contract; used once."""

    def __init__(self, worker_setup: WorkerSetup, pack: AssetPack, policy_host: RayPolicyPool) -> None:
        self.worker_setup = worker_setup
        self.pack = pack
        self.policy_host = policy_host
        self._pending: dict[Any, ActorSlot] = {}
        self._versions: dict[str, str] | None = None
        self._note_at: float | None = time.monotonic() + NOTE_S

    def run(self, ledger: EpisodeLedger, stop: Callable[[], bool] = lambda: False) -> None:
        self._ledger = ledger
        self._ray = connect()
        # the node's own environment, but for what workers on this machine get, too
        variables = {name: value for name, value in environment(self.worker_setup, {}).items() if name != "NUMBA_CACHE_DIR"}
        self._env_actor = self._ray.remote(num_cpus=1, max_restarts=0, runtime_env={"env_vars": variables})(EnvActor)
        self._log = ledger.store.folder / "logs" / "cluster.log"
        self._log.parent.mkdir(exist_ok=True)
        self._log.touch()
        with ledger.session():
            try:
                self._run(stop)
            finally:
                self.policy_host.measure()
                for slot in self._pending.values():
                    self._ray.kill(slot.actor)

    def _run(self, stop: Callable[[], bool]) -> None:
        while not self.policy_host.placed(TICK_S):  # environments would take the CPUs that replicas need
            self._tick(stop)
        for number in range(self._ledger.workers):
            self._launch(ActorSlot(number))
        while self._unfinished() and not self._ledger.stopped_early:
            for ref in self._ray.wait(list(self._pending), num_returns=1, timeout=TICK_S)[0]:
                self._on_result(ref, self._pending.pop(ref))
            self._tick(stop)

    def _tick(self, stop: Callable[[], bool]) -> None:
        """Check for a stop, show progress, and note once that no environment has started for long."""
        if stop():
            raise Interrupted("stopped")
        self._ledger.progress.tick()
        if self._versions is None and self._note_at is not None and time.monotonic() > self._note_at:
            self._note_at = None
            self._ledger.progress.note(f"no environment started in {NOTE_S} s: {self.policy_host.waiting()}")

    def _unfinished(self) -> bool:
        return bool(self._pending) and (self._ledger.has_due or any(slot.active for slot in self._pending.values()))

    def _launch(self, slot: ActorSlot) -> None:
        """Start an environment in that slot; Ray places it."""
        self._ledger.progress.working(slot.number, "starting")
        if slot.replica is not None:
            self.policy_host.release(slot.replica)
            slot.replica = None
        slot.actor = self._env_actor.remote(self.worker_setup, self.pack, self._ledger.limits.timeout_s)
        slot.active = None
        self._pending[slot.actor.ready.remote()] = slot

    def _assign(self, slot: ActorSlot) -> None:
        slot.active = active = self._ledger.next_episode(slot.number)
        if active is None:
            self._ray.kill(slot.actor)
            return
        budget, context = self._ledger.budget(active), self.policy_host.context
        call = slot.actor.run_episode.remote(active.job.spec, active.instruction, budget, slot.replica, context, active.delay)
        self._pending[call] = slot

    def _on_result(self, ref: Any, slot: ActorSlot) -> None:
        from ray.exceptions import RayError, RayTaskError

        try:
            result = self._ray.get(ref)
        except RayTaskError as error:
            self._on_env_lost(slot, f"{type(error.cause).__name__}: {error.cause}" if error.cause else str(error))
        except RayError as error:
            self._on_env_lost(slot, f"its process or node is gone ({type(error).__name__})")
        else:
            self._on_episode(slot, result) if isinstance(result, ActorResult) else self._on_ready(slot, *result)

    def _on_ready(self, slot: ActorSlot, hello: Mapping[str, Any], node: str) -> None:
        self._ledger.worker_started(int(hello["action_size"]), hello["versions"])
        self._versions = self._versions or dict(hello["versions"])
        if hello["versions"] != self._versions:
            raise MissingRequirementError(
                f"the nodes of the cluster are not alike: one has {hello['versions']}, another {self._versions}"
            )
        slot.replica = self.policy_host.nearest(node)
        self._assign(slot)

    def _on_episode(self, slot: ActorSlot, result: ActorResult) -> None:
        active = slot.active
        assert active is not None
        active.decisions, active.step = result.decisions, result.step
        active.statuses, active.policy_s = result.statuses, result.policy_s
        self._ledger.peak_gib = max(self._ledger.peak_gib, result.peak_gib)
        if result.outcome:
            self._ledger.finish(active, result.outcome)
        elif result.kind == "lost":
            self._lose(active, f"{result.phase}: {result.cause}", POLICY)
        elif not self._ledger.fail(active, result.kind, result.phase, result.cause):
            self._ray.kill(slot.actor)
            self._on_env_lost(slot, result.cause)
            return
        self._assign(slot)

    def _on_env_lost(self, slot: ActorSlot, cause: str) -> None:
        if slot.active:
            self._lose(slot.active, cause, MACHINE)
        else:
            self._write_log(f"worker {slot.number} did not start: {cause}")
            if cause.startswith("SuiteError"):
                self._ledger.fail(None, "suite", "start", cause)
            self._ledger.worker_failed_to_start(slot.number, cause, self._log)
        if self._ledger.has_due:
            self._launch(slot)
        else:
            self._ledger.progress.working(slot.number, "")

    def _lose(self, active: ActiveEpisode, cause: str, by: str) -> None:
        self._write_log(f"{active.job.spec.key}: {cause}")
        self._ledger.lose(active, cause, self._log, by)

    def _write_log(self, line: str) -> None:
        with self._log.open("a", encoding="utf-8") as handle:
            handle.write(f"{time.strftime('%H:%M:%S')} {line}\n")


class RayPolicyPool:
    """Replicas of the policy on the cluster. See `policy_host.PolicyHost` for the contract."""

    def __init__(self, resolved: ResolvedRun, log: Path) -> None:
        self.context: PolicyContext | None = None
        self.busy_s = 0.0
        self.interrupted = False
        self._local = LocalPolicyHost(resolved.policy, log)  # looked up for its declarations; it is never queried
        self._gpus = _gpus_per_replica(resolved.config)
        self._share = math.ceil(resolved.workers / resolved.config.policy_replicas)
        self._replicas = _start_replicas(resolved.config, self._gpus, self._share)
        self._placed = [replica.ready.remote() for replica in self._replicas]
        self._nodes: list[str] = []
        self._fingerprint: dict[str, Any] = {}
        self._load: Counter[Any] = Counter()

    def setup(self, context: PolicyContext) -> None:
        """Set every replica up. Raises PolicyFailedError, and MissingRequirementError where they are not alike."""
        from ray.exceptions import RayActorError, RayTaskError

        try:
            started = connect().get([replica.setup.remote(context) for replica in self._replicas])
        except (RayTaskError, RayActorError) as error:
            cause = getattr(error, "cause", None) or error
            raise PolicyFailedError(f"the policy could not be started on the cluster: {cause}") from None
        self._nodes = [node for _, node in started]
        self._fingerprint = started[0][0]
        if any(fingerprint != self._fingerprint for fingerprint, _ in started):
            raise MissingRequirementError("the replicas of the policy are not alike: their fingerprints differ from node to node")
        self.context = context

    def placed(self, timeout_s: float) -> bool:
        """Whether Ray has placed every replica, or given one up."""
        return not connect().wait(self._placed, num_returns=len(self._placed), timeout=timeout_s)[1]

    def waiting(self) -> str:
        """What a run needs before its first episode, and what the cluster has."""
        has = connect().cluster_resources()
        return (
            f"{len(self._replicas)} replicas need a CPU and {self._gpus:g} GPUs each, every environment a CPU; the cluster has "
            f"{has.get('CPU', 0):g} CPUs and {has.get('GPU', 0):g} GPUs, and more when a node joins"
        )

    def nearest(self, node: str) -> Any:
        """A replica for one more environment on that node: one with less than its share, on the same node, the least used."""
        places = zip(self._replicas, self._nodes, strict=True)
        replica, _ = min(places, key=lambda p: (self._load[p[0]] >= self._share, p[1] != node, self._load[p[0]]))
        self._load[replica] += 1
        return replica

    def release(self, replica: Any) -> None:
        """An environment with that replica is gone."""
        self._load[replica] -= 1

    def end_episode(self, key: str) -> None:
        for replica in self._replicas:
            replica.end_episode.remote(key)

    def fingerprint(self) -> dict[str, Any]:
        return self._fingerprint

    def measure(self) -> None:
        """Update the busy time, the mean of the replicas."""
        self.busy_s = sum(self._ask("busy_s")) / len(self._replicas)

    def metrics(self) -> dict[str, Any]:
        """Batch sizes and latencies of each replica."""
        return {"replicas": self._ask("metrics")}

    def _ask(self, method: str) -> list[Any]:
        """Answers of the replicas; without those of replicas that Ray has not placed or that do not answer within 5 s."""
        if not self.placed(0):
            return []
        ray = connect()
        refs = [getattr(replica, method).remote() for replica in self._replicas]
        ready, _ = ray.wait(refs, num_returns=len(refs), timeout=5)
        return [ray.get(ref) for ref in ready if not _failed(ray, ref)]

    def close(self) -> None:
        for replica in self._replicas:
            connect().kill(replica)
        self._local.close()


def _gpus_per_replica(config: RunConfig) -> float:
    """GPUs of each replica; for `auto` equal parts of the cluster's, each within one GPU."""
    if config.policy_gpus != AUTO:
        return float(config.policy_gpus)
    gpus = connect().cluster_resources().get("GPU", 0)
    return int(GPU_PARTS / math.ceil(config.policy_replicas / gpus)) / GPU_PARTS if gpus else 0.0


def _start_replicas(config: RunConfig, gpus: float, envs: int) -> list[Any]:
    """Replicas with so many GPUs and environments each."""
    options: dict[str, Any] = {
        "num_cpus": 1,
        "num_gpus": gpus,
        "max_restarts": -1,
        "max_task_retries": -1,
        "max_concurrency": envs + EXTRA_CALLS,
        "runtime_env": {"env_vars": {"PYTHONPATH": import_path()}},
    }
    remote = connect().remote(**options)(PolicyActor)
    args = absolute_reference(config.policy), dict(config.policy_arg), MAX_BATCH
    return [remote.remote(*args) for _ in range(config.policy_replicas)]


def _failed(ray: Any, ref: Any) -> bool:
    try:
        ray.get(ref)
    except ray.exceptions.RayError:
        return True
    return False

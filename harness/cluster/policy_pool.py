"""Copies of the policy on a Ray cluster."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...envs.source_files import located
from ...policies.base import PolicyContext
from ..config import AUTO, RunConfig
from ..errors import MissingRequirementError, PolicyFailedError
from ..execution.policy_host import LocalPolicyHost
from ..execution.worker_process import import_path
from ..ray_connection import connect
from .actors import PolicyActor

if TYPE_CHECKING:
    from ..planning.resolve import ResolvedRun

MAX_BATCH = 64
"""Most observations of one call of a replica's policy."""
EXTRA_CALLS = 8
"""Concurrent calls of a replica beside one per environment."""


class RayPolicyPool:
    """Replicas of the policy on the cluster. See `policy_host.PolicyHost`."""

    def __init__(self, resolved: ResolvedRun, log: Path) -> None:
        self.context: PolicyContext | None = None
        self.busy_s = 0.0
        self.interrupted = False
        self._local = LocalPolicyHost(resolved.policy, log)  # looked up for its declarations; it is never queried
        self._replicas = _start_replicas(resolved.config, resolved.workers)
        self._nodes: list[str] = []
        self._fingerprint: dict[str, Any] = {}
        self._load: Counter[int] = Counter()

    def setup(self, context: PolicyContext) -> None:
        """Set every replica up. Raises PolicyFailedError, and MissingRequirementError where they are not alike."""
        started = [_get(replica.setup.remote(context)) for replica in self._replicas]
        self._nodes = [node for _, node in started]
        self._fingerprint = started[0][0]
        if any(fingerprint != self._fingerprint for fingerprint, _ in started):
            raise MissingRequirementError("the replicas of the policy are not alike: their fingerprints differ from node to node")
        self.context = context

    def nearest(self, node: str) -> Any:
        """The replica for one more environment on that node: one on the same node, else the least used."""
        number = min(range(len(self._replicas)), key=lambda n: (self._nodes[n] != node, self._load[n]))
        self._load[number] += 1
        return self._replicas[number]

    def end_episode(self, key: str) -> None:
        """The episode has ended; every replica drops its state."""
        for replica in self._replicas:
            replica.end_episode.remote(key)

    def fingerprint(self) -> dict[str, Any]:
        """The fingerprint of every replica."""
        return self._fingerprint

    def metrics(self) -> dict[str, Any]:
        """Batch sizes and latencies of each replica; without replicas that do not answer within 5 s."""
        ray = connect()
        refs = [replica.metrics.remote() for replica in self._replicas]
        ready, _ = ray.wait(refs, num_returns=len(refs), timeout=5)
        return {"replicas": [ray.get(ref) for ref in ready if not _failed(ray, ref)]}

    def close(self) -> None:
        """End the replicas."""
        for replica in self._replicas:
            connect().kill(replica)
        self._local.close()


def _start_replicas(config: RunConfig, envs: int) -> list[Any]:
    ray = connect()
    count = config.policy_replicas
    gpus = config.policy_gpus  # for `auto` an equal share of the cluster's, one at most
    options: dict[str, Any] = {
        "num_cpus": 1,
        "num_gpus": min(1.0, ray.cluster_resources().get("GPU", 0) / count) if gpus == AUTO else float(gpus),
        "max_restarts": -1,
        "max_task_retries": -1,
        "max_concurrency": math.ceil(envs / count) + EXTRA_CALLS,
        "runtime_env": {"env_vars": {"PYTHONPATH": import_path()}},
    }
    remote = ray.remote(**options)(PolicyActor)
    return [remote.remote(located(config.policy), dict(config.policy_arg), MAX_BATCH) for _ in range(count)]


def _get(ref: Any) -> Any:
    from ray.exceptions import RayActorError, RayTaskError

    try:
        return connect().get(ref)
    except RayTaskError as error:
        raise PolicyFailedError(f"the policy could not be started on the cluster: {error.cause or error}") from None
    except RayActorError as error:
        raise PolicyFailedError(f"a replica of the policy could not be started: {error}") from None


def _failed(ray: Any, ref: Any) -> bool:
    try:
        ray.get(ref)
    except ray.exceptions.RayError:
        return True
    return False

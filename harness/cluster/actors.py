"""Ray actors of a run: environments and replicas of the policy.

An environment runs a whole episode and queries its replica for every decision itself, so that only finished episodes pass through
the executor. A replica batches concurrent requests (`serving.batching`). Ray places actors and restarts those of lost nodes.
"""

from __future__ import annotations

import faulthandler
import resource
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...envs import suites
from ...envs.base import AssetPack, Env, EpisodeSpec
from ...envs.errors import SuiteError
from ...envs.paths import cache_home
from ...envs.perturbations import language
from ...policies.base import ActionChunk, Observation, PolicyContext
from ...policies.registry import load
from ..execution.delay import DelayedAnswers
from ..execution.policy_host import LocalPolicyHost
from ..execution.rollout import DecisionPoint, EpisodeOutcome, Rollout
from ..execution.worker import build, failure
from ..execution.worker_process import hello
from ..planning.latency import Delay
from ..planning.run_settings import WorkerSetup
from ..serving.batching import Answer, RequestBatcher


@dataclass(slots=True)
class ActorResult:
    """Result of one attempt at an episode."""

    outcome: EpisodeOutcome | None = None
    """None where the attempt did not run to its end."""
    kind: str = ""
    """Why not: a kind of `worker.KINDS`, `env`, `policy`, or `lost`: the policy has lost the episode's state."""
    phase: str = "reset"
    cause: str = ""
    step: int = 0
    decisions: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    policy_s: float = 0.0
    """Seconds spent waiting for the policy."""
    peak_gib: float = 0.0


class EnvActor:
    """An environment in a process of its own, on a node that Ray chose."""

    def __init__(self, setup: WorkerSetup, pack: AssetPack, timeout_s: float) -> None:
        self._setup, self._pack, self._timeout_s = setup, pack, timeout_s
        self._env: Env | None = None

    def ready(self) -> tuple[dict[str, Any], str]:
        """Build the environment; the worker's `hello`, and the node's id."""
        import ray

        with _with_timeout(self._timeout_s):
            options = replace(self._setup.options, assets=self._assets(), cache=str(cache_home().absolute()))
            Path(options.cache).mkdir(parents=True, exist_ok=True)
            self._env, greeting = build({**hello(self._setup), "options": asdict(options)})
        return greeting, ray.get_runtime_context().get_node_id()

    def _assets(self) -> str:
        """Path of the run's pack on this node: the same path, or else the pack of that name, if its fingerprint agrees."""
        path = self._setup.options.assets
        if not path or Path(path).is_dir():
            return path
        pack = suites.get(self._setup.suite).resolve_assets(self._pack.name)
        if pack.fingerprint != self._pack.fingerprint:
            raise SuiteError(f"this node's {pack.name} assets are {pack.fingerprint}, the run's are {self._pack.fingerprint}")
        return pack.path

    def run_episode(
        self, spec: EpisodeSpec, instruction: str, budget: int, replica: Any, context: PolicyContext, delay: Delay | None = None
    ) -> ActorResult:
        """One attempt at an episode; its failure, too, is in the result."""
        assert self._env is not None
        result, client, suite = ActorResult(), uuid.uuid4().hex, suites.get(self._setup.suite)
        delayed = DelayedAnswers(delay, spec) if delay else None
        rollout = Rollout(self._env, spec, self._setup.protocol, self._setup.observation_spec, budget, delayed)
        try:
            with _with_timeout(self._timeout_s):
                event: DecisionPoint | EpisodeOutcome = rollout.start()
            while isinstance(event, DecisionPoint):
                result.step = event.step
                seen = event.env_observation
                text = language.present(suite, spec, instruction, seen.instruction)
                observation = Observation(spec, result.decisions, event.step, text, seen, event.committed)
                answer = self._query(observation, client, replica, context, result)
                if "lost" in answer:
                    result.kind, result.phase, result.cause = "lost", "step", str(answer["lost"])
                    return result
                with _with_timeout(self._timeout_s):
                    event = rollout.execute(ActionChunk(answer["actions"], answer["status"]))
            result.outcome = event
        except _PolicyFailed as error:
            result.kind, result.cause = "policy", str(error)
        except Exception as error:
            report = failure(rollout.phase, error)
            result.kind, result.phase, result.cause = report["kind"], report["phase"], report["cause"]
        result.peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        return result

    def _query(self, observation: Observation, client: str, replica: Any, context: PolicyContext, result: ActorResult) -> Answer:
        import ray
        from ray.exceptions import RayActorError, RayTaskError

        started = time.perf_counter()
        try:
            answer: Answer = ray.get(replica.act.remote(client, observation, context if observation.decision == 0 else None))
        except RayTaskError as error:
            raise _PolicyFailed(str(error.cause or error)) from None
        except RayActorError as error:
            raise _PolicyFailed(f"its replica is gone: {error}") from None
        result.policy_s += time.perf_counter() - started
        if "lost" not in answer:
            result.decisions += 1
            result.statuses[answer["status"]] += 1
        return answer


class PolicyActor:
    """A replica of the policy. Set up by the first request that carries the context, also after a restart by Ray."""

    def __init__(self, name: str, args: Mapping[str, str], max_batch: int) -> None:
        self._policy_host = LocalPolicyHost(load(name, args), Path(tempfile.mkdtemp(prefix="nora-bench-")) / "policy.log")
        self._batcher = RequestBatcher(self._policy_host, max_batch)
        self._lock = threading.Lock()
        threading.Thread(target=self._batcher.serve_forever, args=[lambda: False], daemon=True).start()

    def ready(self) -> None:
        """Returns once Ray has placed the replica."""

    def setup(self, context: PolicyContext) -> tuple[dict[str, Any], str]:
        """Set the policy up, once; its fingerprint, and the node's id."""
        import ray

        self._ensure_setup(context)
        return self._policy_host.fingerprint(), ray.get_runtime_context().get_node_id()

    def act(self, client: str, observation: Observation, context: PolicyContext | None) -> Answer:
        """The chunk for one observation, or `lost` where this replica lacks the state of its episode."""
        if context:
            self._ensure_setup(context)
        elif self._policy_host.context is None:
            return {"key": observation.key, "lost": "the policy was restarted during the episode"}
        return self._batcher.submit(client, [observation]).result()[0]

    def end_episode(self, key: str) -> None:
        """The episode has ended, in whichever environment."""
        self._batcher.end_episodes(self._batcher.client_of(key), [key])

    def busy_s(self) -> float:
        """Seconds in which the policy computed."""
        return self._policy_host.busy_s

    def metrics(self) -> dict[str, Any]:
        """Batch sizes and latencies of the model."""
        return self._batcher.meter.summary()

    def _ensure_setup(self, context: PolicyContext) -> None:
        with self._lock:
            if self._policy_host.context is None:
                self._policy_host.setup(context)


class _PolicyFailed(Exception):
    """The policy failed."""


@contextmanager
def _with_timeout(seconds: float) -> Iterator[None]:
    """End the process, and with it the actor, when a simulator hangs for that many seconds."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()

"""What a run puts on a Ray cluster: worlds and replicas of the policy, each an actor.

A world plays a whole episode and asks its replica for every decision itself, so that nothing but finished episodes passes
through the runner. A replica answers everything that is waiting as one batch (`harness.desk`). Where they run, and
where they run again when a node is lost, is Ray's business.
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
from ...policies.base import ActionChunk, Observation, PolicyContext
from ...policies.registry import load
from ..execution.policy_host import LocalPolicyHost
from ..execution.rollout import DecisionPoint, EpisodeOutcome, Rollout
from ..execution.worker import build, failure
from ..execution.worker_process import WorkerSetup
from ..serving.batching import Answer, RequestBatcher


@dataclass(slots=True)
class ActorResult:
    """What became of one attempt at an episode."""

    done: EpisodeOutcome | None = None
    """None where it did not come to its end."""
    kind: str = ""
    """Why not: `premise`, `policy`, `suite`, `world` (as workers say), or `lost`: the policy has forgotten the episode."""
    phase: str = "reset"
    cause: str = ""
    step: int = 0
    decisions: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    policy_s: float = 0.0
    """Seconds of waiting for the policy."""
    peak_gib: float = 0.0


class EnvActor:
    """A world in a process of its own, on whatever node Ray chose."""

    def __init__(self, setup: WorkerSetup, pack: AssetPack, timeout_s: float) -> None:
        self._setup, self._pack, self._timeout_s = setup, pack, timeout_s
        self._world: Env | None = None

    def ready(self) -> tuple[dict[str, Any], str]:
        """Build the world: what a worker says when it greets, and the node's id."""
        import ray

        with _watched(self._timeout_s):
            options = replace(self._setup.options, assets=self._assets(), cache=str(cache_home().absolute()))
            Path(options.cache).mkdir(parents=True, exist_ok=True)
            self._world, said = build({**self._setup.hello(), "options": asdict(options)})
        return said, ray.get_runtime_context().get_node_id()

    def _assets(self) -> str:
        """The run's pack on this node: at the same place, or the one of the same name, which must be the same."""
        there = self._setup.options.assets
        if not there or Path(there).is_dir():
            return there
        found = suites.get(self._setup.suite).resolve_assets(self._pack.name)
        if found.fingerprint != self._pack.fingerprint:
            raise SuiteError(f"this node's {found.name} assets are {found.fingerprint}, the run's are {self._pack.fingerprint}")
        return found.path

    def play(self, spec: EpisodeSpec, instruction: str, budget: int, replica: Any, context: PolicyContext) -> ActorResult:
        """One attempt at an episode. Whatever goes wrong in it is in the outcome."""
        assert self._world is not None
        out, client = ActorResult(), uuid.uuid4().hex
        episode = Rollout(self._world, spec, self._setup.protocol, self._setup.observation_spec, budget)
        try:
            with _watched(self._timeout_s):
                event: DecisionPoint | EpisodeOutcome = episode.start()
            while isinstance(event, DecisionPoint):
                out.step = event.step
                one = Observation(spec, out.decisions, event.step, instruction, event.env_observation)
                answer = self._ask(one, client, replica, context, out)
                if "lost" in answer:
                    out.kind, out.phase, out.cause = "lost", "step", str(answer["lost"])
                    return out
                with _watched(self._timeout_s):
                    event = episode.play(ActionChunk(answer["actions"], answer["status"]))
            out.done = event
        except _Refused as error:
            out.kind, out.cause = "policy", str(error)
        except Exception as error:
            said = failure(episode.phase, error)
            out.kind, out.phase, out.cause = said["kind"], said["phase"], said["cause"]
        out.peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        return out

    def _ask(self, one: Observation, client: str, replica: Any, context: PolicyContext, out: ActorResult) -> Answer:
        import ray
        from ray.exceptions import RayActorError, RayTaskError

        started = time.perf_counter()
        try:
            answer: Answer = ray.get(replica.act.remote(client, one, context if one.decision == 0 else None))
        except RayTaskError as error:
            raise _Refused(str(error.cause or error)) from None
        except RayActorError as error:
            raise _Refused(f"its replica is gone: {error}") from None
        out.policy_s += time.perf_counter() - started
        if "lost" not in answer:
            out.decisions += 1
            out.statuses[answer["status"]] += 1
        return answer


class PolicyActor:
    """A copy of the policy. Started by the first question that brings the context, so also after Ray has restarted it."""

    def __init__(self, name: str, args: Mapping[str, str], max_batch: int) -> None:
        self._policy_host = LocalPolicyHost(load(name, args), Path(tempfile.mkdtemp(prefix="nora-bench-")) / "policy.log")
        self._batcher = RequestBatcher(self._policy_host, max_batch)
        self._lock = threading.Lock()
        threading.Thread(target=self._batcher.serve_forever, args=[lambda: False], daemon=True).start()

    def setup(self, context: PolicyContext) -> tuple[dict[str, Any], str]:
        """Start the policy, once: its fingerprint, and the node's id."""
        import ray

        self._started(context)
        return self._policy_host.fingerprint(), ray.get_runtime_context().get_node_id()

    def act(self, client: str, one: Observation, context: PolicyContext | None) -> Answer:
        """The answer to one observation, or `lost` where this copy does not know how its episode began."""
        if context:
            self._started(context)
        elif self._policy_host.context is None:
            return {"key": one.key, "lost": "the policy was restarted on the way"}
        return self._batcher.submit(client, [one]).result()[0]

    def end_episode(self, key: str) -> None:
        """The episode has ended, whoever played it."""
        self._batcher.end_episodes(self._batcher.client_of(key), [key])

    def metrics(self) -> dict[str, Any]:
        """Batch sizes and seconds of the model."""
        return self._batcher.meter.summary()

    def _started(self, context: PolicyContext) -> None:
        with self._lock:
            if self._policy_host.context is None:
                self._policy_host.setup(context)


class _Refused(Exception):
    """The policy failed."""


@contextmanager
def _watched(seconds: float) -> Iterator[None]:
    """A simulator that hangs ends its process, and with it its actor."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()

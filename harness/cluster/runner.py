"""The runner on a Ray cluster: hands out episodes, takes in what became of them, keeps the records.

Same plan, same records, one writer; only the worlds are elsewhere. An episode whose world, node or replica was lost is played
again. Worlds for which there is no room yet wait until a node joins.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...envs.base import AssetPack, EpisodeSpec
from ...envs.source_files import absolute_reference
from ...policies.base import Policy, PolicyContext
from ..config import AUTO, RunConfig
from ..errors import Interrupted, MissingRequirementError, PolicyFailedError
from ..execution import recorder
from ..execution.policy_host import LocalPolicyHost
from ..execution.recorder import ActiveEpisode
from ..execution.runner import MAX_FAILED_STARTS, Runner
from ..execution.worker_process import import_path
from ..ray_connection import connect
from .actors import ActorResult, EnvActor, PolicyActor

TICK_S = 0.1
"""How long the runner waits for an episode to end before it looks after other things."""
MAX_BATCH = 64
"""Observations that a replica's policy is given at once, at most."""
EXTRA_CALLS = 8
"""Calls that a replica takes at once beside one per world."""


class RayPolicyPool(LocalPolicyHost):
    """Copies of the policy on the cluster, in place of a policy in this process."""

    def __init__(self, config: RunConfig, policy: Policy, log: Path, *, worlds: int) -> None:
        super().__init__(policy, log)
        ray = connect()
        count = config.policy_replicas
        options: dict[str, Any] = {
            "num_cpus": 1,
            "num_gpus": _gpus(config.policy_gpus, ray.cluster_resources().get("GPU", 0), count),
            "max_restarts": -1,
            "max_task_retries": -1,
            "max_concurrency": math.ceil(worlds / count) + EXTRA_CALLS,
            "runtime_env": {"env_vars": {"PYTHONPATH": import_path()}},
        }
        remote = ray.remote(**options)(PolicyActor)
        self._all = [remote.remote(absolute_reference(config.policy), dict(config.policy_arg), MAX_BATCH) for _ in range(count)]
        self._nodes: list[str] = []
        self._found: dict[str, Any] = {}
        self._load: Counter[int] = Counter()

    def setup(self, context: PolicyContext) -> None:
        """Start every copy. Raises PolicyFailedError, and MissingRequirementError where they are not alike."""
        said = [self._get(replica.start.remote(context)) for replica in self._all]
        self._nodes = [node for _, node in said]
        self._found = said[0][0]
        if any(fingerprint != self._found for fingerprint, _ in said):
            raise MissingRequirementError("the replicas of the policy are not alike: their fingerprints differ from node to node")
        self.context = context

    def nearest(self, node: str) -> Any:
        """The copy for one more world on that node: one on the same node, else the one with the fewest worlds."""
        number = min(range(len(self._all)), key=lambda one: (self._nodes[one] != node, self._load[one]))
        self._load[number] += 1
        return self._all[number]

    def end_episode(self, key: str) -> None:
        for replica in self._all:
            replica.end_episode.remote(key)

    def fingerprint(self) -> dict[str, Any]:
        """What every copy says about itself."""
        return self._found

    def metrics(self) -> dict[str, Any]:
        """What each copy has measured; nothing of those that cannot be asked any more."""
        ray = connect()
        asked = [replica.metrics.remote() for replica in self._all]
        done, _ = ray.wait(asked, num_returns=len(asked), timeout=5)
        return {"replicas": [ray.get(ref) for ref in done if not _failed(ray, ref)]}

    def close(self) -> None:
        """End the copies."""
        for replica in self._all:
            connect().kill(replica)
        super().close()

    def _get(self, ref: Any) -> Any:
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


def _gpus(wanted: float | str, there: float, replicas: int) -> float:
    """GPUs for each replica: the share asked for, else its part of what the cluster has, one at most."""
    return min(1.0, there / replicas) if wanted == AUTO else float(wanted)


@dataclass(slots=True)
class ActorSlot:
    """A place for a world, and what the world in it is doing."""

    number: int
    actor: Any = None
    replica: Any = None
    playing: ActiveEpisode | None = None


class ClusterRunner(Runner):
    """Plays episodes on the cluster and keeps them in `store`. `run` it once; `seat` holds the replicas."""

    policy_host: RayPolicyPool

    def run(self, episodes: Sequence[EpisodeSpec], stop: Callable[[], bool] = lambda: False) -> None:
        """Play them, all or as many as `until` wants. Raises as `Runner.run` does."""
        self._ray = connect()
        self._schedule = self.schedule(episodes)
        self._world = self._ray.remote(num_cpus=1, max_restarts=0, runtime_env=self._environment())(EnvActor)
        self._waiting: dict[Any, ActorSlot] = {}
        self._versions: dict[str, str] | None = None
        self._pack = AssetPack(self.facts.assets["pack"], self.setup.options.assets, self.facts.assets["fingerprint"])
        self._log = self.store.folder / "logs" / "cluster.log"
        self._log.parent.mkdir(exist_ok=True)
        self._log.touch()
        try:
            for number in range(min(self.limits.workers, len(episodes))):
                self._open(ActorSlot(number))
            while self._unfinished() and not (self.until and self.until.should_stop):
                if stop():
                    raise Interrupted("stopped")
                for ref in self._ray.wait(list(self._waiting), num_returns=1, timeout=TICK_S)[0]:
                    self._take(ref, self._waiting.pop(ref))
                self.progress.tick()
            self._keep_withheld()
            self._begun.clear()  # what `until` can do without was not lost
        except BaseException as error:
            self._ended_by_policy = isinstance(error, PolicyFailedError)
            raise
        finally:
            for slot in self._waiting.values():
                self._ray.kill(slot.actor)
            self._drop()

    def _unfinished(self) -> bool:
        return bool(self._waiting) and bool(len(self._schedule) or any(slot.playing for slot in self._waiting.values()))

    def _environment(self) -> dict[str, Any]:
        """What differs from the node's own environment, as workers of this machine get it."""
        whole = self.setup.environment({})
        return {"env_vars": {name: value for name, value in whole.items() if name != "NUMBA_CACHE_DIR"}}

    def _open(self, slot: ActorSlot) -> None:
        """A new world in that place; Ray finds room for it."""
        self.progress.working(slot.number, "starting")
        slot.actor = self._world.remote(self.setup, self._pack, self.limits.timeout_s)
        slot.playing = None
        self._waiting[slot.actor.ready.remote()] = slot

    def _take(self, ref: Any, slot: ActorSlot) -> None:
        from ray.exceptions import RayError, RayTaskError

        try:
            found = self._ray.get(ref)
        except RayTaskError as error:
            self._lost_world(slot, f"{type(error.cause).__name__}: {error.cause}" if error.cause else str(error))
        except RayError as error:
            self._lost_world(slot, f"its process or node is gone ({type(error).__name__})")
        else:
            self._ended(slot, found) if isinstance(found, ActorResult) else self._stands(slot, *found)

    def _stands(self, slot: ActorSlot, said: Mapping[str, Any], node: str) -> None:
        """A world has been built."""
        self._failed_starts = 0
        if self.policy_host.context is None:
            suites = tuple(suite.name for suite in self.stage.suites)
            self.policy_host.setup(PolicyContext(self.stage.protocol, suites, int(said["action_size"])))
            self._versions = dict(said["versions"])
            self.facts = replace(self.facts, conditions=self.on_ready(self._versions))
        if said["versions"] != self._versions:
            raise MissingRequirementError(
                f"the nodes of the cluster are not alike: one has {said['versions']}, another {self._versions}"
            )
        slot.replica = self.policy_host.nearest(node)
        self._hand_out(slot)

    def _hand_out(self, slot: ActorSlot) -> None:
        """Give the world its next episode, or let it go."""
        job = self._next_job(slot.number)
        if job is None:
            self.progress.working(slot.number, "")
            self._ray.kill(slot.actor)
            return
        slot.playing = ActiveEpisode(job, self.stage.task(job.spec), self.stage.instruction(job.spec))
        self.progress.working(slot.number, job.spec.scene)
        budget = self.limits.max_steps or self.stage.steps(job.spec)
        call = slot.actor.play.remote(job.spec, slot.playing.instruction, budget, slot.replica, self.policy_host.context)
        self._waiting[call] = slot

    def _ended(self, slot: ActorSlot, out: ActorResult) -> None:
        playing = slot.playing
        assert playing is not None
        playing.decisions, playing.step, playing.statuses, playing.policy_s = out.decisions, out.step, out.statuses, out.policy_s
        self.policy_host.busy_s += out.policy_s
        self.peak_gib = max(self.peak_gib, out.peak_gib)
        if out.kind == "policy":
            raise PolicyFailedError(f"the policy failed on the cluster: {out.cause}")
        if out.kind == "suite":
            raise MissingRequirementError(f"the suite cannot be played on the cluster ({out.phase}): {out.cause}")
        if out.kind == "world":
            self._lost_world(slot, out.cause, kill=True)
            return
        if out.done:
            self._played = True
            self._keep_withheld()
            actions = self.store.write_actions(playing.job.spec.key, out.done.actions)
            self._keep(recorder.finished(playing, out.done, actions, self.facts))
        elif out.kind == "premise":
            self.progress.note(f"{playing.job.spec.key}: {out.cause}")
            self._keep(recorder.failed(playing, f"{out.phase}: {out.cause}", self.facts))
        else:
            self._note_loss(playing, f"{out.phase}: {out.cause}", recorder.POLICY)
        self._hand_out(slot)

    def _lost_world(self, slot: ActorSlot, cause: str, *, kill: bool = False) -> None:
        """The world is of no more use: have its episode played again, and open another in its place."""
        if kill:
            self._ray.kill(slot.actor)
        if slot.playing is None:
            self._failed_start_of(slot, cause)
        else:
            self._note_loss(slot.playing, cause, recorder.MACHINE)
        if len(self._schedule):
            self._open(slot)
        else:
            self.progress.working(slot.number, "")

    def _failed_start_of(self, slot: ActorSlot, cause: str) -> None:
        self._failed_starts += 1
        self._write(f"world {slot.number} did not start: {cause}")
        self.progress.note(f"world {slot.number} did not start: {cause}")
        if self._failed_starts >= MAX_FAILED_STARTS or cause.startswith("SuiteError"):
            raise MissingRequirementError(f"no world can be built on the cluster: {cause}\nType there: nora-bench doctor")

    def _note_loss(self, playing: ActiveEpisode, cause: str, by: str) -> None:
        self._write(f"{playing.job.spec.key}: {cause}")
        self._retry(playing, cause, self._log, by)

    def _write(self, line: str) -> None:
        with self._log.open("a", encoding="utf-8") as handle:
            handle.write(f"{time.strftime('%H:%M:%S')} {line}\n")

"""A run before its first episode: every name looked up, nothing written or started."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..envs.base import AssetPack
from ..policies.base import Policy
from ..policies.registry import load
from ..results.records import EpisodeRecord
from .cluster_runner import choose_worlds
from .config import RunConfig
from .errors import InputError, NotAble
from .estimate import choose_workers
from .plan import Plan, Stage, find_stage, make_plan
from .until import Until, make_until


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
    return Prepared(config, stage, policy, plan, find_assets(config.assets, stage), workers, until, borrowed)


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


def find_assets(wanted: str, stage: Stage) -> AssetPack:
    """The pack that draws all of the suites. Raises NotAble where they would be drawn with different ones."""
    packs = {suite.name: suite.resolve_assets(wanted) for suite in stage.suites}
    if len({pack.fingerprint for pack in packs.values()}) > 1:
        found = ", ".join(f"{suite} has {pack.name}" for suite, pack in packs.items())
        raise NotAble(f"the suites of this run would be drawn with different assets ({found}); name one pack with --assets")
    return next(iter(packs.values()))

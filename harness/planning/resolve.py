"""Resolve a configuration into a run: every name looked up, nothing written or started."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...envs import suites
from ...envs.base import AssetPack, EnvOptions, EpisodeSpec
from ...envs.errors import InputError, MissingRequirementError
from ...envs.paths import cache_home
from ...envs.specs import ActionConvention
from ...policies.base import Policy
from ...policies.registry import complete, load
from ...results.comparisons.rounds import Round, rounds
from ...results.store.records import EpisodeRecord
from ..config import AUTO, RunConfig
from ..ray_connection import connect
from .controls import controls_elsewhere, require_controls
from .early_stopping import EarlyStopping, make_early_stopping
from .estimate import choose_workers
from .plan import EvalSetup, Plan, make_plan, resolve_setup
from .run_settings import RunContext, RunLimits, WorkerSetup
from .schedule import RoundSchedule, Schedule, by_rounds
from .spec_check import check_specs


@dataclass(frozen=True, slots=True)
class ResolvedRun:
    """A run with every name looked up, complete: execution reads nothing but this."""

    config: RunConfig
    setup: EvalSetup
    policy: Policy
    plan: Plan
    assets: AssetPack
    workers: int
    until: EarlyStopping | None = None
    """Stopping rule over this run's plan."""
    caller_owns_policy: bool = False
    """Whether the policy stays open after the run."""
    rounds: Sequence[Round] = ()
    """The plan by rounds; empty where it runs task by task."""

    @property
    def limits(self) -> RunLimits:
        """Workers, timeouts, retries and the length of episodes."""
        config = self.config
        return RunLimits(self.workers, config.timeout, config.retries, config.max_steps, config.policy_check)

    @property
    def record_context(self) -> RunContext:
        """Fields that all records have in common; `conditions` is known once the policy and a worker have started."""
        pack = {"pack": self.assets.name, "fingerprint": self.assets.fingerprint}
        conventions = {suite.name: ActionConvention.of(suite.action_spec) for suite in self.setup.suites}
        known = {name: convention for name, convention in conventions.items() if convention}
        return RunContext(self.config.policy, pack, self.setup.backend, known)

    def worker_setup(self, gl: str) -> WorkerSetup:
        """Setup from which workers build. `gl`: the rendering backend's name."""
        assets = self.assets.path and str(Path(self.assets.path).absolute())  # workers run in another folder
        setup = self.setup
        options = EnvOptions(assets=assets, gl=gl, cache=str(cache_home().absolute()), backend=setup.backend)
        return WorkerSetup(setup.references[0], options, setup.protocol, self.policy.observation_spec, setup.python)

    def schedule(self, episodes: Collection[EpisodeSpec]) -> Schedule | RoundSchedule:
        """A schedule of those episodes of the plan, in the configured order."""
        return by_rounds(self.rounds, episodes) if self.rounds else Schedule(episodes)

    def remaining(self, records: Iterable[EpisodeRecord]) -> Plan:
        """The plan without recorded episodes; empty where `--until` needs no more."""
        records = list(records)
        if self.until and self.until.load_previous(records).stop:
            return Plan((), 0)
        return self.plan.without({record.key for record in records})

    def facts(self) -> dict[str, Any]:
        """Part of this plan in run.json."""
        return {
            "suites": [suite.name for suite in self.setup.suites],
            "backend": self.setup.backend,
            "protocol": self.setup.protocol.to_json(),
            "policy": {
                "name": self.config.policy,
                "args": dict(self.config.policy_arg),
                "stochastic": self.policy.stochastic,
                "marks": list(self.policy.tags),
                "needs": self.policy.observation_spec.to_json(),
            },
            "assets": {"pack": self.assets.name, "fingerprint": self.assets.fingerprint, "path": self.assets.path},
            "counts": {
                **({"excluded": sum(self.plan.excluded.values())} if self.plan.excluded else {}),
                **({"perturbed": self.plan.perturbed} if self.plan.perturbed else {}),
                "planned": len(self.plan.episodes),
                "repeated": self.plan.repeated,
                "done": 0,
                "errors": 0,
            },
            "order_seed": order_seed(self.config),
        }


def resolve_run(
    config: RunConfig, policy: Policy | None = None, *, caller_owns_policy: bool = False, recorded_backend: str = ""
) -> ResolvedRun:
    """Look up suites, protocol, policy (unless given) and assets, and make the plan.

    `recorded_backend`: the backend of a run that is resumed; it may be no default any more.

    Raises InputError, MissingRequirementError, PolicyError, SuiteError.
    """
    if config.until and config.perturb:
        raise InputError(
            "--until stops on the benchmark's own episodes and cannot be used with --perturb. Omit one of them: first run with "
            "--until, then the perturbed episodes with --control RUN",
            option="--until",
        )
    setup = resolve_setup(config, recorded_backend)
    policy = complete(policy) if policy else load(config.policy, config.policy_arg)
    check_specs(setup.suites, setup.protocol, policy, config.policy)
    assets = find_assets(config.assets, setup)
    elsewhere = controls_elsewhere(config, setup, assets)
    plan = make_plan(config, setup, stochastic=policy.stochastic, elsewhere=elsewhere)
    require_controls(config, plan, elsewhere)
    by_round = _rounds(config, setup, plan) if config.until or config.order == "rounds" else []
    if by_round:
        plan = replace(plan, episodes=tuple(spec for one in by_round for entry in one for spec in entry.episodes))
    workers = _workers(config, setup, len(plan.episodes), caller_owns_policy=caller_owns_policy)
    until = make_early_stopping(config, by_round, setup.protocol, assets)
    return ResolvedRun(config, setup, policy, plan, assets, workers, until, caller_owns_policy, by_round)


def _rounds(config: RunConfig, setup: EvalSetup, plan: Plan) -> list[Round]:
    names = {(suite.name, task.id): task.name for suite in setup.suites for task in suite.tasks}
    return rounds(plan.episodes, order_seed(config), names)


def order_seed(config: RunConfig) -> int:
    """Seed for the order of initial states in rounds, 32 bits: the same for the same run, unrelated between runs.

    With one order for all runs, all runs that stop early would rest on the same few initial states.
    """
    names = ("suite", "tasks", "episodes", "init_states", "seeds", "policy", "policy_arg", "protocol")
    values = {name: value for name, value in config.to_json().items() if name in names}
    return int(hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8], 16)


def _workers(config: RunConfig, setup: EvalSetup, episodes: int, *, caller_owns_policy: bool) -> int:
    """Number of environments that run at once."""
    if config.executor == "local":
        if config.policy_replicas > 1:
            raise InputError("--policy-replicas needs --executor ray, which also works on one machine")
        return choose_workers(config.workers, setup.suites[0], episodes)
    if caller_owns_policy:
        raise InputError("--executor ray builds the policy on the cluster, so it must be given by its name")
    if setup.python != sys.executable:
        raise MissingRequirementError(
            "--executor ray runs suites in nora-bench's own interpreter only. Use --executor local for this one"
        )
    return _ray_envs(config, episodes)


def find_assets(wanted: str, setup: EvalSetup) -> AssetPack:
    """The asset pack of all of the suites. Raises MissingRequirementError where they have different ones."""
    packs = {suite.name: suites.resolve_assets(suite, wanted) for suite in setup.suites}
    if len({pack.fingerprint for pack in packs.values()}) > 1:
        names = ", ".join(f"{suite} has {pack.name}" for suite, pack in packs.items())
        raise MissingRequirementError(f"the suites of this run have different assets ({names}); name one pack with --assets")
    return next(iter(packs.values()))


def _ray_envs(config: RunConfig, episodes: int) -> int:
    """The configured number; for `auto` one per CPU of the cluster that no replica uses. Never more than episodes."""
    total = int(connect().cluster_resources().get("CPU", 1))
    wanted = max(1, total - config.policy_replicas) if config.workers == AUTO else int(config.workers)
    return max(1, min(wanted, episodes))

from dataclasses import replace
from types import SimpleNamespace

import fakes
import pytest
from fakes import priced, toy
from nora_bench.envs.errors import MissingRequirementError
from nora_bench.harness.config import parse
from nora_bench.harness.planning import estimate as module
from nora_bench.harness.planning.estimate import choose_workers, estimate, require_room
from nora_bench.harness.planning.plan import make_plan, resolve_setup
from nora_bench.policies.base import BasePolicy
from nora_bench.policies.baselines import Zero


@pytest.fixture
def machine(monkeypatch):
    """Sets the machine's cores and free memory."""

    def have(cores, gib):
        monkeypatch.setattr(module, "usable_cores", lambda: cores)
        monkeypatch.setattr(module, "free_memory_gib", lambda: gib)

    return have


@pytest.mark.parametrize(
    ("cores", "gib", "suite", "episodes", "workers"),
    [
        (8, 100, toy, 50, 8),
        (8, 5.5, toy, 50, 3),
        (8, 5.5, priced, 50, 7),
        (8, 0.5, toy, 50, 1),
        (8, 100, toy, 3, 3),
        (8, 100, toy, 0, 1),
    ],
    ids=["cores", "memory", "the suite's own figure", "no memory", "episodes", "nothing to do"],
)
def test_auto_workers_use_the_scarcest_resource(machine, cores, gib, suite, episodes, workers):
    machine(cores, gib)
    assert choose_workers("auto", suite, episodes) == workers


def test_configured_workers_are_used(machine):
    machine(1, 0.1)
    assert choose_workers(5, toy, 50) == 5


def found(tmp_path, policy=None, **values):
    config = parse({"suite": "fakes:toy", **values})
    setup = resolve_setup(config)
    plan, policy = make_plan(config, setup, stochastic=True), policy or Zero(chunk=3)
    return estimate(plan, setup, policy, 2, config.max_steps, tmp_path / "not" / "there")


def test_policys_chunk_bounds_the_decisions(tmp_path):
    assert found(tmp_path, tasks="0", episodes=1).decisions == 7


def test_replan_interval_takes_precedence(tmp_path):
    assert found(tmp_path, tasks="0", episodes=1, protocol="toy/chunk-end", max_steps=12).decisions == 4


def test_policy_that_executes_fewer_steps_decides_more_often(tmp_path):
    policy = Zero(chunk=3)
    policy.n_action_steps = 2
    assert found(tmp_path, policy, tasks="0", episodes=1, protocol="toy/chunk-end", max_steps=12).decisions == 6


class Executor(BasePolicy):
    """A user's policy whose own methods have everyday names."""

    def execute(self, action):
        return action

    def chunk(self):
        return 1


def test_policy_with_a_method_named_execute_is_estimated(tmp_path):
    assert found(tmp_path, Executor(), tasks="0", episodes=1).decisions == 20


def test_suite_without_cost_has_no_time_estimate(tmp_path):
    assert found(tmp_path).hours is None


def test_former_name_of_the_cost_of_an_image_is_read(tmp_path, monkeypatch):
    policy = Zero(chunk=3)
    policy.observation_spec = replace(policy.observation_spec, cameras=("primary",))
    hours = found(tmp_path, policy, suite="fakes:priced", tasks="0", episodes=1).hours
    former = {"picture_s" if name == "image_s" else name: seconds for name, seconds in priced.cost.items()}
    monkeypatch.setattr(fakes, "priced", replace(priced, cost=former))
    assert found(tmp_path, policy, suite="fakes:priced", tasks="0", episodes=1).hours == hours > 0


def test_full_disk_is_reported_before_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(MissingRequirementError, match="--out"):
        require_room(found(tmp_path))

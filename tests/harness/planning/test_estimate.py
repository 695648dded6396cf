from types import SimpleNamespace

import pytest
from fakes import priced, toy
from nora_bench.harness.config import parse
from nora_bench.harness.errors import MissingRequirementError
from nora_bench.harness.planning import estimate as module
from nora_bench.harness.planning.estimate import choose_workers, estimate, require_room
from nora_bench.harness.planning.plan import find_stage, make_plan
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
def test_auto_workers_go_by_what_there_is_least_of(machine, cores, gib, suite, episodes, workers):
    machine(cores, gib)
    assert choose_workers("auto", suite, episodes) == workers


def test_workers_asked_for_are_given(machine):
    machine(1, 0.1)
    assert choose_workers(5, toy, 50) == 5


def found(tmp_path, policy=None, **values):
    config = parse({"suite": "fakes:toy", **values})
    stage = find_stage(config)
    plan, policy = make_plan(config, stage, stochastic=True), policy or Zero(chunk=3)
    return estimate(plan, stage, policy, 2, config.max_steps, tmp_path / "not" / "there")


def test_a_policys_chunk_bounds_the_decisions(tmp_path):
    assert found(tmp_path, tasks="0", episodes=1).decisions == 7


def test_the_protocols_replan_interval_goes_first(tmp_path):
    assert found(tmp_path, tasks="0", episodes=1, protocol="toy/chunk-end", max_steps=12).decisions == 4


def test_a_policy_that_executes_less_than_that_decides_more_often(tmp_path):
    policy = Zero(chunk=3)
    policy.n_action_steps = 2
    assert found(tmp_path, policy, tasks="0", episodes=1, protocol="toy/chunk-end", max_steps=12).decisions == 6


def test_no_figures_no_time(tmp_path):
    assert found(tmp_path).hours is None


def test_a_disk_that_is_too_small_is_told_before_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(MissingRequirementError, match="--out"):
        require_room(found(tmp_path))

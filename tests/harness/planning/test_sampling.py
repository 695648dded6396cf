"""The part of a task that `--episodes N` plays is fair, and grows without changing."""

from itertools import pairwise

import pytest
from nora_bench.envs import suites
from nora_bench.harness.planning.plan import spread_evenly

TASKS = [(name, task) for name in ("simpler-vm", "simpler-va") for task in suites.get(name).tasks]
each_task = pytest.mark.parametrize(("suite", "task"), TASKS, ids=[f"{name} {task.name}" for name, task in TASKS])


def sample(task, count):
    return spread_evenly(task.variants, range(task.init_states), count)


@each_task
def test_every_variant_is_sampled_before_any_twice(suite, task):
    chosen = [variant for variant, _ in sample(task, len(task.variants))]
    assert chosen == list(task.variants)


@each_task
def test_larger_sample_contains_every_smaller_one(suite, task):
    sizes = sorted({1, 3, 4, 10, len(task.variants) + 1, task.episodes - 1, task.episodes})
    grown = [set(sample(task, size)) for size in sizes]
    assert all(small < large for small, large in pairwise(grown))
    assert [len(one) for one in grown] == sizes


@each_task
def test_small_sample_has_different_initial_states(suite, task):
    assert len({state for _, state in sample(task, 8)}) == 8


@each_task
def test_small_sample_covers_every_subtask(suite, task):
    subtasks = {variant.partition("/")[2] for variant in task.variants}
    assert {variant.partition("/")[2] for variant, _ in sample(task, 4)} == subtasks


def test_sample_is_in_plan_order():
    assert spread_evenly(("a", "b"), (5, 3, 4), 6) == [("a", 5), ("a", 3), ("a", 4), ("b", 5), ("b", 3), ("b", 4)]

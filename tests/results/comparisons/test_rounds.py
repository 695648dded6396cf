from collections import Counter, defaultdict

import numpy as np
import pytest
from grids import grid
from nora_bench.envs.base import EpisodeSpec
from nora_bench.results.comparisons.rounds import group_weights, rounds
from nora_bench.results.grouping import task_weights
from nora_bench.results.layouts import get


def plan(tasks=2, inits=5, seeds=1, suite="s"):
    return [EpisodeSpec(suite, t, i, seed, "p") for t in range(tasks) for i in range(inits) for seed in range(seeds)]


def names(episodes):
    return {(spec.suite, spec.task_id): f"task {spec.task_id}" for spec in episodes}


def by_rounds(episodes, order_seed=1):
    return rounds(episodes, order_seed, names(episodes))


def keys(plan):
    return [spec.key for one in plan for entry in one for spec in entry.episodes]


def test_a_round_has_one_initial_state_of_every_task_with_all_its_seeds():
    first = by_rounds(plan(tasks=3, inits=4, seeds=2))[0]
    assert [entry.episodes[0].task_id for entry in first] == [0, 1, 2]
    assert {len(entry.episodes) for entry in first} == {2}


def test_every_planned_episode_is_in_one_round_even_where_tasks_differ_in_size():
    uneven = [*plan(tasks=1, inits=7, seeds=3), *(EpisodeSpec("s", 1, i, 0, "p") for i in range(3))]
    found = by_rounds(uneven)
    assert sorted(keys(found)) == sorted(spec.key for spec in uneven)
    assert [Counter(entry.episodes[0].task_id for entry in one) for one in found] == [{0: 2, 1: 1}, {0: 2, 1: 1}, {0: 3, 1: 1}]


def test_the_order_of_initial_states_follows_from_the_order_seed_alone():
    def order(episodes, seed):
        return [one[0].episodes[0].init_state for one in by_rounds(episodes, seed)]

    episodes = plan(inits=20)
    assert order(episodes, 1) == order(episodes[:20], 1)
    assert sorted(order(episodes, 1)) != order(episodes, 1) != order(episodes, 2)


def test_exponents_are_one_where_all_tasks_weigh_equally_and_have_equally_many_states():
    assert [entry.exponent for one in by_rounds(plan(tasks=7)) for entry in one] == pytest.approx([1.0] * 35)


def test_suites_weigh_equally_however_many_tasks_they_have():
    groups = [("s", 0, ""), ("s", 1, ""), ("t", 0, "")]
    weights = group_weights(groups, {(suite, task): str(task) for suite, task, _ in groups})
    assert weights == {("s", 0, ""): 0.25, ("s", 1, ""): 0.25, ("t", 0, ""): 0.5}


def test_parts_share_the_weight_of_their_task():
    groups = [("s", 0, "top"), ("s", 0, "bottom"), ("s", 1, "")]
    assert group_weights(groups, {("s", 0): "open", ("s", 1): "move"}) == dict(zip(groups, (0.25, 0.25, 0.5), strict=True))


@pytest.mark.parametrize("suite", ["libero_object", "simpler-vm", "simpler-va"])
def test_weights_are_those_of_the_papers_table(suite):
    on = grid(suite)
    layout = get("nora15/table2" if suite == "libero_object" else "nora15/table1")
    items = [column for column in layout.columns if column.suite == suite]
    named = {(name, group[2]): group for name, group in zip(on.names, on.groups, strict=True)}
    wanted = {}
    for column in items:
        own = [key for key in named if not column.tasks or key[0].startswith(column.tasks)]
        wanted |= {named[key]: share / len(items) for key, share in task_weights(own, column).items()}
    for one in on.plan:
        total = defaultdict(float)
        for entry in one:
            first = entry.episodes[0]
            total[suite, first.task_id, first.variant.partition("/")[2]] += entry.exponent
        size = sum(total.values())
        assert {group: exponent / size for group, exponent in total.items()} == pytest.approx(wanted)


@pytest.mark.parametrize("suite", ["simpler-vm", "simpler-va"])
def test_looks_of_a_state_are_one_entry_and_no_exponent_exceeds_one(suite):
    on = grid(suite)
    assert len(on.plan) == 9
    assert len(on.appearances) == 3 * 25 + 60 + 6 * 9
    assert on.exponents.max() == pytest.approx(1)
    assert on.size[-1] > 0.85 * len(on.appearances)


def test_suites_of_ten_tasks_weigh_all_entries_equally():
    on = grid("libero")
    assert on.exponents == pytest.approx(np.ones(2000))


def test_a_part_of_the_tasks_is_weighed_as_far_as_the_table_knows_it():
    groups = [("simpler-vm", 0, "standing"), ("simpler-vm", 2, "top"), ("simpler-vm", 2, "bottom")]
    weights = group_weights(groups, {("simpler-vm", 0): "pick_coke_can", ("simpler-vm", 2): "open_drawer"})
    assert weights == dict(zip(groups, (0.5, 0.25, 0.25), strict=True))

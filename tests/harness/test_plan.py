import pytest
from nora_bench.harness.config import parse
from nora_bench.harness.errors import InputError, NotAble
from nora_bench.harness.plan import find_stage, make_plan


def plan(stochastic=True, **values):
    config = parse({"suite": "fakes:toy", **values})
    return make_plan(config, find_stage(config), stochastic=stochastic)


def scenes(found):
    return [spec.scene for spec in found.episodes]


def test_all_tasks_initial_states_and_seeds():
    assert len(plan(seeds=2).episodes) == 3 * 10 * 2


def test_the_order_is_by_task_and_the_same_every_time():
    found = plan(tasks="2,0", episodes=2, seeds="7,3")
    assert scenes(found) == [f"toy/task{task}/init{state}/seed{seed}" for task in (0, 2) for seed in (7, 3) for state in (0, 1)]


def test_initial_states_can_be_named_and_cut():
    assert scenes(plan(tasks="1", init_states="8,4-6", episodes=2)) == ["toy/task1/init8/seed0", "toy/task1/init4/seed0"]


def test_tasks_can_be_named():
    assert scenes(plan(tasks="go_home_2", episodes=1)) == ["toy/task2/init0/seed0"]


def test_seeds_that_change_nothing_are_counted_and_not_planned():
    found = plan(stochastic=False, seeds="7,8,9", episodes=4)
    assert {spec.seed for spec in found.episodes} == {7}
    assert (len(found.episodes), found.repeated) == (12, 24)


def test_seeds_that_place_fixtures_are_planned_for_a_deterministic_policy():
    found = plan(stochastic=False, suite="fakes:toy_seeded", seeds=3, episodes=4)
    assert (len(found.episodes), found.repeated) == (36, 0)


def test_a_protocol_that_draws_from_the_key_makes_every_seed_another_episode():
    found = plan(stochastic=False, protocol="toy/pushed", seeds=3, episodes=4)
    assert (len(found.episodes), found.repeated) == (36, 0)


def test_what_is_done_is_not_planned_again():
    found = plan(tasks="0", episodes=3)
    rest = found.without({found.episodes[1].key})
    assert rest.episodes == (found.episodes[0], found.episodes[2])


def test_keys_are_unique_over_suites():
    found = plan(suite=["fakes:toy", "fakes:toy_seeded"], seeds=2)
    assert len({spec.key for spec in found.episodes}) == len(found.episodes) == 120


def test_a_group_stands_for_its_suites():
    stage = find_stage(parse({"suite": "libero"}))
    assert [suite.name for suite in stage.suites] == ["libero_spatial", "libero_object", "libero_goal", "libero_10"]


def test_the_default_protocol_is_the_suites():
    assert find_stage(parse({"suite": "libero_goal"})).protocol.name == "libero/openvla"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"suite": "libero_gaol"}, "did you mean libero_goal"),
        ({"suite": "fakes:"}, "not of the form"),
        ({"protocol": "toy/plane"}, "unknown protocol"),
        ({"protocol": "libero/nora"}, "is for libero, not toy; one of: toy/plain"),
        ({"suite": ["fakes:toy", "libero_goal"]}, "one run each for libero and toy"),
        ({"tasks": "3"}, "toy has no task 3; its tasks are 0 to 2"),
        ({"tasks": "go_hone_1"}, "did you mean go_home_1"),
        ({"init_states": "8-10"}, "no initial state 10; they are 0 to 9"),
        ({"episodes": 11}, "has 10 initial states"),
    ],
)
def test_what_does_not_exist_is_refused_with_the_nearest_that_does(values, says):
    with pytest.raises(InputError, match=says):
        plan(**values)


def test_a_suite_that_cannot_be_imported_is_named():
    with pytest.raises(NotAble, match="no_such_module"):
        plan(suite="no_such_module:suite")

import sys

import pytest
from nora_bench.harness.config import parse
from nora_bench.harness.errors import InputError, MissingRequirementError
from nora_bench.harness.planning.plan import make_plan, resolve_setup


def plan(stochastic=True, **values):
    config = parse({"suite": "fakes:toy", **values})
    return make_plan(config, resolve_setup(config), stochastic=stochastic)


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
    setup = resolve_setup(parse({"suite": "libero"}))
    assert [suite.name for suite in setup.suites] == ["libero_spatial", "libero_object", "libero_goal", "libero_10"]


def test_simplerenv_is_planned_as_upstreams_scripts_play_it():
    found = plan(suite="simpler")
    assert [sum(spec.suite == suite for spec in found.episodes) for suite in ("simpler-vm", "simpler-va")] == [756, 1533]
    assert len({spec.key for spec in found.episodes}) == 756 + 1533


def test_a_task_of_simplerenv_is_named_in_both_settings():
    assert len(plan(suite="simpler", tasks="pick_coke_can").episodes) == 300 + 675


def test_every_variant_has_every_initial_state():
    found = plan(suite="fakes:toy_looks", tasks="0")
    assert {(spec.variant, spec.init_state) for spec in found.episodes} == {
        (v, i) for v in ("red", "green", "blue") for i in range(10)
    }
    assert len(found.episodes) == 30


def test_named_initial_states_are_played_in_every_variant():
    found = plan(suite="fakes:toy_looks", tasks="0", init_states="4,7")
    assert scenes(found)[:3] == [
        "toy_looks/task0/red/init4/seed0",
        "toy_looks/task0/red/init7/seed0",
        "toy_looks/task0/green/init4/seed0",
    ]


def test_fewer_episodes_keep_every_variant():
    found = plan(suite="simpler-va", tasks="open_drawer", episodes=21)
    assert len({spec.variant for spec in found.episodes}) == len(found.episodes) == 21


def test_variants_count_as_initial_states_to_start_from():
    with pytest.raises(InputError, match="task 0 has 30 initial states"):
        plan(suite="fakes:toy_looks", episodes=31)


def test_a_task_may_have_a_budget_of_its_own():
    setup = resolve_setup(parse({"suite": "fakes:toy_looks"}))
    found = make_plan(parse({"suite": "fakes:toy_looks", "episodes": 1}), setup, stochastic=True)
    assert [setup.steps(spec) for spec in found.episodes] == [20, 21, 20]


def test_drawers_have_more_time_than_objects():
    setup = resolve_setup(parse({"suite": "simpler"}))
    found = make_plan(parse({"suite": "simpler", "episodes": 1}), setup, stochastic=True)
    assert [setup.steps(spec) for spec in found.episodes] == [80, 80, 113, 113] * 2


def test_an_episode_is_told_by_its_suite_where_the_suite_has_something_to_say():
    setup = resolve_setup(parse({"suite": "simpler-vm"}))
    (spec,) = make_plan(parse({"suite": "simpler-vm", "tasks": "move_near", "episodes": 1}), setup, stochastic=True).episodes
    assert setup.instruction(spec) == "move blue plastic bottle near pepsi can"


def test_the_first_backend_plays_in_this_interpreter():
    setup = resolve_setup(parse({"suite": "fakes:toy_looks"}))
    assert (setup.backend, setup.python) == ("here", sys.executable)


def test_an_interpreter_for_the_family_brings_the_backend_that_needs_one():
    setup = resolve_setup(parse({"suite": "fakes:toy_looks", "python": f"toy={sys.executable}"}))
    assert setup.backend == "abroad"


def test_another_backend_may_be_played_in_a_named_interpreter():
    setup = resolve_setup(parse({"suite": "fakes:toy_looks", "python": f"toy={sys.executable}", "backend": "here"}))
    assert setup.backend == "here"


def test_a_backend_of_its_own_interpreter_is_not_played_without():
    with pytest.raises(MissingRequirementError, match="--python toy=/path/to/python"):
        resolve_setup(parse({"suite": "fakes:toy_looks", "backend": "abroad"}))


def test_the_default_protocol_is_the_suites():
    assert resolve_setup(parse({"suite": "libero_goal"})).protocol.name == "libero/openvla"


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
        ({"backend": "abroad"}, "a single one"),
        ({"suite": "fakes:toy_looks", "backend": "nowhere"}, "it has here, abroad"),
        ({"python": "libero=python3"}, "are of the family toy"),
        ({"python": "toy=/no/such/python"}, "program not found"),
    ],
)
def test_what_does_not_exist_is_refused_with_the_nearest_that_does(values, says):
    with pytest.raises(InputError, match=says):
        plan(**values)


def test_a_suite_that_cannot_be_imported_is_named():
    with pytest.raises(MissingRequirementError, match="no_such_module"):
        plan(suite="no_such_module:suite")

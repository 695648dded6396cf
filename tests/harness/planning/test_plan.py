import sys
from dataclasses import replace

import fakes
import pytest
from nora_bench.envs.errors import ExitCode, InputError, MissingRequirementError, SuiteError, UnknownName
from nora_bench.harness.config import parse
from nora_bench.harness.planning.plan import make_plan, resolve_setup


def plan(stochastic=True, **values):
    config = parse({"suite": "fakes:toy", **values})
    return make_plan(config, resolve_setup(config), stochastic=stochastic)


def scenes(found):
    return [spec.scene for spec in found.episodes]


def test_default_plan_has_all_tasks_initial_states_and_seeds():
    assert len(plan(seeds=2).episodes) == 3 * 10 * 2


def test_plan_is_ordered_by_task_and_deterministic():
    found = plan(tasks="2,0", episodes=2, seeds="7,3")
    assert scenes(found) == [f"toy/task{task}/init{state}/seed{seed}" for task in (0, 2) for seed in (7, 3) for state in (0, 1)]


def test_initial_states_are_selected():
    assert scenes(plan(tasks="1", init_states="8,4-6", episodes=2)) == ["toy/task1/init8/seed0", "toy/task1/init4/seed0"]


def test_fresh_initial_states_have_their_own_name_in_the_key():
    (spec,) = plan(tasks="1", init_states="fresh:4").episodes
    assert (spec.init_set, spec.init_state, spec.scene) == ("fresh", 4, "toy/task1/fresh4/seed0")
    assert spec.env_seed != plan(tasks="1", init_states="4").episodes[0].env_seed


def test_tasks_are_selected():
    assert scenes(plan(tasks="go_home_2", episodes=1)) == ["toy/task2/init0/seed0"]


def test_seeds_that_change_nothing_are_counted_and_not_planned():
    found = plan(stochastic=False, seeds="7,8,9", episodes=4)
    assert {spec.seed for spec in found.episodes} == {7}
    assert (len(found.episodes), found.repeated) == (12, 24)


def test_seeds_that_place_fixtures_are_planned_for_a_deterministic_policy():
    found = plan(stochastic=False, suite="fakes:toy_seeded", seeds=3, episodes=4)
    assert (len(found.episodes), found.repeated) == (36, 0)


def test_protocol_with_randomness_makes_every_seed_an_episode():
    found = plan(stochastic=False, protocol="toy/pushed", seeds=3, episodes=4)
    assert (len(found.episodes), found.repeated) == (36, 0)


def test_finished_episodes_are_not_planned_again():
    found = plan(tasks="0", episodes=3)
    rest = found.without({found.episodes[1].key})
    assert rest.episodes == (found.episodes[0], found.episodes[2])


def test_keys_are_unique_over_suites():
    found = plan(suite=["fakes:toy", "fakes:toy_seeded"], seeds=2)
    assert len({spec.key for spec in found.episodes}) == len(found.episodes) == 120


def test_group_expands_to_its_suites():
    setup = resolve_setup(parse({"suite": "libero"}))
    assert [suite.name for suite in setup.suites] == ["libero_spatial", "libero_object", "libero_goal", "libero_10"]


def test_simplerenv_plan_equals_upstreams_scripts():
    found = plan(suite="simpler")
    assert [sum(spec.suite == suite for spec in found.episodes) for suite in ("simpler-vm", "simpler-va")] == [756, 1533]
    assert len({spec.key for spec in found.episodes}) == 756 + 1533


def test_simplerenv_task_has_one_name_in_both_settings():
    assert len(plan(suite="simpler", tasks="pick_coke_can").episodes) == 300 + 675


def test_every_variant_has_every_initial_state():
    found = plan(suite="fakes:toy_looks", tasks="0")
    assert {(spec.variant, spec.init_state) for spec in found.episodes} == {
        (v, i) for v in ("red", "green", "blue") for i in range(10)
    }
    assert len(found.episodes) == 30


def test_selected_initial_states_apply_to_every_variant():
    found = plan(suite="fakes:toy_looks", tasks="0", init_states="4,7")
    assert scenes(found)[:3] == [
        "toy_looks/task0/red/init4/seed0",
        "toy_looks/task0/red/init7/seed0",
        "toy_looks/task0/green/init4/seed0",
    ]


def test_fewer_episodes_keep_every_variant():
    found = plan(suite="simpler-va", tasks="open_drawer", episodes=21)
    assert len({spec.variant for spec in found.episodes}) == len(found.episodes) == 21


def test_variants_multiply_the_initial_states():
    with pytest.raises(InputError, match="task 0 has 30 initial states"):
        plan(suite="fakes:toy_looks", episodes=31)


def test_task_may_have_its_own_budget():
    setup = resolve_setup(parse({"suite": "fakes:toy_looks"}))
    found = make_plan(parse({"suite": "fakes:toy_looks", "episodes": 1}), setup, stochastic=True)
    assert [setup.steps(spec) for spec in found.episodes] == [20, 21, 20]


def test_drawer_tasks_have_a_larger_budget():
    setup = resolve_setup(parse({"suite": "simpler"}))
    found = make_plan(parse({"suite": "simpler", "episodes": 1}), setup, stochastic=True)
    assert [setup.steps(spec) for spec in found.episodes] == [80, 80, 113, 113] * 2


def test_instruction_comes_from_the_suite_where_it_has_one():
    setup = resolve_setup(parse({"suite": "simpler-vm"}))
    (spec,) = make_plan(parse({"suite": "simpler-vm", "tasks": "move_near", "episodes": 1}), setup, stochastic=True).episodes
    assert setup.instruction(spec) == "move blue plastic bottle near pepsi can"


def test_first_backend_uses_this_interpreter():
    setup = resolve_setup(parse({"suite": "fakes:toy_looks"}))
    assert (setup.backend, setup.python) == ("here", sys.executable)


def test_interpreter_of_the_family_selects_the_foreign_backend():
    setup = resolve_setup(parse({"suite": "fakes:toy_looks", "python": f"toy={sys.executable}"}))
    assert setup.backend == "abroad"


def test_backend_and_interpreter_can_both_be_set():
    setup = resolve_setup(parse({"suite": "fakes:toy_looks", "python": f"toy={sys.executable}", "backend": "here"}))
    assert setup.backend == "here"


def test_foreign_backend_without_interpreter_is_rejected():
    with pytest.raises(MissingRequirementError, match="--python toy=/path/to/python"):
        resolve_setup(parse({"suite": "fakes:toy_looks", "backend": "abroad"}))


def test_backend_of_a_resumed_run_is_kept_where_the_default_has_changed():
    setup = resolve_setup(parse({"suite": "fakes:toy_looks", "python": f"toy={sys.executable}"}), "here")
    assert setup.backend == "here"


def test_backend_that_cannot_run_here_is_rejected_with_its_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path))
    monkeypatch.delenv("NORA_BENCH_SAPIEN2_PYTHON", raising=False)
    with pytest.raises(MissingRequirementError, match="nora-bench doctor --fix --simpler"):
        resolve_setup(parse({"suite": "simpler-vm", "backend": "sapien2"}))


def test_sapien_2_is_the_default_where_its_interpreter_exists(monkeypatch, tmp_path):
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path))
    monkeypatch.delenv("NORA_BENCH_SAPIEN2_PYTHON", raising=False)
    assert resolve_setup(parse({"suite": "simpler-vm"})).backend == "sapien3"
    monkeypatch.setenv("NORA_BENCH_SAPIEN2_PYTHON", sys.executable)
    assert resolve_setup(parse({"suite": "simpler-vm"})).backend == "sapien2"
    monkeypatch.setenv("NORA_BENCH_SAPIEN2_PYTHON", "/misspelt/python")  # not SAPIEN 3 instead
    with pytest.raises(MissingRequirementError, match="unset NORA_BENCH_SAPIEN2_PYTHON"):
        resolve_setup(parse({"suite": "simpler-vm"}))


def test_default_protocol_is_the_suites():
    assert resolve_setup(parse({"suite": "libero_goal"})).protocol.name == "libero/openvla"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"suite": "libero_gaol"}, "did you mean libero_goal"),
        ({"suite": "fakes:"}, "not of the form"),
        ({"protocol": "toy/plane"}, "unknown protocol"),
        ({"protocol": "libero/nora"}, "is for libero, not toy; one of: toy/plain"),
        ({"suite": ["fakes:toy", "libero_goal"]}, "one run each for libero and toy"),
        ({"tasks": "3"}, "toy has no task 3; its tasks: 0-2"),
        ({"suite": "simpler-place", "tasks": "0"}, "simpler-vm-place has no task 0; its tasks: 4"),
        ({"tasks": "go_hone_1"}, "did you mean go_home_1"),
        ({"init_states": "8-10"}, "no initial state 10; they are 0 to 9"),
        ({"init_states": "fresh:4-5"}, "no fresh initial state 5; they are 0 to 4"),
        ({"episodes": 11}, "has 10 initial states"),
        ({"backend": "abroad"}, "a single one"),
        ({"suite": "fakes:toy_looks", "backend": "nowhere"}, "it has here, abroad"),
        ({"python": "libero=python3"}, "are of the family toy"),
        ({"python": "toy=/no/such/python"}, "program not found"),
    ],
)
def test_unknown_name_is_rejected_with_the_nearest_known(values, says):
    with pytest.raises(InputError, match=says):
        plan(**values)


@pytest.mark.parametrize("reference", ["no_such_module:suite", "fakes:no_such_suite", "no_such_file.py:suite", "fakes:"])
def test_suite_that_is_not_found_is_bad_input(reference):
    with pytest.raises(InputError) as caught:
        plan(suite=reference)
    assert (caught.value.option, caught.value.exit_code) == ("--suite", ExitCode.BAD_INPUT)
    assert str(caught.value.value).endswith(reference)


@pytest.mark.parametrize("text", ["import no_such_module", "1 / 0", "raise SystemExit(0)"])
def test_suite_that_cannot_be_imported_is_the_suites_fault(tmp_path, text):
    path = tmp_path / "faulty.py"
    path.write_text(text)
    with pytest.raises(SuiteError, match=r"faulty|no_such_module"):
        plan(suite=f"{path}:suite")


def test_unknown_default_protocol_is_the_suites_fault(monkeypatch):
    monkeypatch.setattr(fakes, "toy", replace(fakes.toy, default_protocol="nope"))
    with pytest.raises(SuiteError, match="default_protocol"):
        plan()
    with pytest.raises(UnknownName):
        plan(protocol="none")

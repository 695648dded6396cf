import random
from dataclasses import replace

import pytest
from nora_bench.envs import suites as known_suites
from nora_bench.results import layouts
from nora_bench.results.comparisons.comparison import compare, compare_columns
from nora_bench.results.conditions import Incomparable
from nora_bench.results.grouping import groups
from nora_bench.results.tables.build import build

LIBERO = ("libero_spatial", "libero_object", "libero_goal", "libero_10")


@pytest.fixture
def runs(run, libero):
    """Runs on the same scenes of two suites, told apart by their failures per task: `runs(3, 8)`."""

    def make(*failures, suites=("libero_goal", "libero_10"), **fields):
        return [
            run(f"run{i}", libero(inits=20, failures=f, suites=suites, policy=f"policy{i}", **fields))
            for i, f in enumerate(failures)
        ]

    return make


def names(found):
    return [match.name for match in found.columns]


def only(found):
    (match,) = found.columns
    return match


# Columns


def test_every_column_that_both_fill_is_compared(runs):
    assert names(compare(*runs(3, 8, suites=LIBERO))) == ["Spatial", "Object", "Goal", "Long", "Average"]


def test_two_columns_of_four_have_no_average(runs):
    assert names(compare(*runs(3, 8))) == ["Goal", "Long"]


def test_a_mean_needs_every_task_of_its_parts(run, libero):
    """Five of ten tasks were once called the average of the benchmark."""
    found = compare(run("a", libero(inits=5)), run("b", libero(inits=5, tasks=5)))
    assert names(found) == ["Spatial", "Object", "Goal", "Long"]
    assert {match.part for match in found.columns} == {"tasks 0-4, 5 of 50 initial states"}


def test_suites_that_no_table_shows_are_compared_too(run, libero):
    a, b = (run(name, libero(inits=5, failures=f, suites=("libero_90", "mine"))) for name, f in (("a", 0), ("b", 5)))
    found = compare(a, b)
    assert names(found) == ["libero_90", "mine", "all suites"]
    assert {match.verdict for match in found.columns} == {"A is better"}


def test_a_clear_difference_is_called(runs):
    match = compare(*runs(3, 8)).columns[0]
    assert match.verdict == "A is better"
    assert match.difference.mean == pytest.approx(-0.25)
    assert len(match.flipped) == 50


def test_equal_runs_show_no_difference(runs):
    assert {match.verdict for match in compare(*runs(3, 3)).columns} == {"no difference shown"}


def test_less_of_a_bad_thing_is_better(run, record):
    task = "Put strawberry in plate [apple]"
    a, b = (
        run(name, [record("galaxea-a1", task, i, success=False, measures={"distractor": touched}) for i in range(10)])
        for name, touched in (("a", True), ("b", False))
    )
    found = {match.metric.name: match for match in compare(a, b).columns}
    assert found["distractor"].difference.mean == -1
    assert found["distractor"].better == "B"


def test_runs_without_a_common_scene_have_no_match(run, libero):
    assert compare(run("a", libero(suites=("libero_goal",))), run("b", libero(suites=("libero_10",)))).columns == ()


def test_columns_are_corrected_for_their_number(run, libero):
    a, b = run("a", libero(tasks=1, inits=30, failures=5)), run("b", libero(tasks=1, inits=30))
    goal = compare(a, b).columns[0]
    assert goal.difference.p == pytest.approx(0.0625)
    assert (goal.family, goal.p) == (4, pytest.approx(0.25))


# One verdict for every command


def random_records(record, suite, rate, seeds, rng):
    played = known_suites.get(suite)
    for task in played.tasks:
        for variant in task.variants or ("",):
            for init in range(0, task.init_states, 3):
                for seed in range(seeds):
                    key = f"{suite}/task{task.id}/{variant}/init{init}/seed{seed}@p"
                    made = record(suite, task.name, init, seed, success=rng.random() < rate, variant=variant, key=key)
                    yield replace(made, task_id=task.id)


@pytest.mark.parametrize("seeds", [(1, 1), (1, 2)])
@pytest.mark.parametrize(("table", "suites"), [("nora15/table2", LIBERO), ("nora15/table1", ("simpler-vm",))])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_table_and_the_comparison_say_the_same(run, record, table, suites, seeds, seed):
    rng = random.Random(seed)
    a, b = (
        run(name, [one for suite in suites for one in random_records(record, suite, rate, count, rng)])
        for name, rate, count in (("a", 0.8, seeds[0]), ("b", 0.87, seeds[1]))
    )
    (delta,) = [line for line in build(layouts.get(table), [a, b]).rows if line.kind == "delta" and "measured" in line.label]
    found = {(match.column.name, match.metric.name): match for match in compare(a, b).columns}
    assert delta.cells.keys() == found.keys()
    for key, cell in delta.cells.items():
        match = found[key]
        bounds = (match.difference.mean, match.difference.low, match.difference.high)
        assert (cell.value, cell.low, cell.high) == pytest.approx([100 * value for value in bounds])
        assert cell.p == match.p
        assert (cell.low >= 0 or cell.high <= 0) if match.settled else cell.low <= 0 <= cell.high


# Initial states


def test_all_seeds_of_both_count(run, libero, record):
    """One seed against three: two thirds of the latter were once thrown away."""
    one = run("one", libero(tasks=1, suites=("libero_goal",)))
    three = run("three", [record(task=0, init=i, seed=s, success=s == 0) for i in range(50) for s in range(3)])
    match = only(compare(one, three))
    assert match.difference.mean == pytest.approx(-2 / 3)
    assert (match.b.low.k, match.b.low.n) == (50, 150)


def test_equal_trajectories_are_not_dropped(run, record):
    """States that play out alike under every seed weigh as much as those that do not."""
    a = run("a", [record(init=i, seed=s, trajectory_sha256=f"{i}") for i in range(4) for s in range(3)])
    b = run(
        "b", [record(init=i, seed=s, success=i > 0 or s > 0, trajectory_sha256=f"b{i}{s}") for i in range(4) for s in range(3)]
    )
    assert only(compare(a, b)).difference.mean == pytest.approx(-1 / 12)


def test_episodes_of_one_run_alone_are_counted_and_omitted(run, record):
    a = run("a", [record(init=i) for i in range(5)])
    b = run("b", [record(init=i) for i in (0, 1, 9)])
    match = only(compare(a, b))
    assert (match.difference.scenes, match.only_a, match.only_b) == (2, 3, 1)


def test_looks_of_one_run_alone_are_omitted(run, record):
    def appearances(init, names, success=True):
        return [record("simpler-vm", "move_near", init, variant=v, success=success, key=f"{init}{v}") for v in names]

    a = run("a", [*appearances(0, ("x", "y")), *appearances(1, ("x",))])
    b = run("b", [*appearances(0, ("x",)), *appearances(0, ("z",), success=False), *appearances(1, ("x",))])
    match = only(compare(a, b))
    assert (match.difference.mean, match.difference.scenes, match.only_a, match.only_b) == (0, 2, 1, 1)


# Errors


def with_errors(records):
    """The same run, whose failures all end in an error."""
    return [r if r.success else replace(r, success=None, termination="error", cause="policy") for r in records]


def test_losing_what_would_be_lost_makes_nobody_better(run, libero):
    """A policy that ends its failures in errors once won 100 % and was called better."""
    records = libero(failures=5, suites=("libero_goal",))
    match = only(compare(run("a", records), run("a_err", with_errors(records))))
    assert match.verdict == "no difference shown"
    assert match.difference.low <= 0 <= match.difference.high
    assert match.difference.means == (0, pytest.approx(0.1))
    assert (match.errors_a, match.errors_b) == ({}, {"policy": 50, "other_failed": 50})


def test_a_verdict_that_errors_cannot_change_stands(run, libero):
    a = run("a", libero(failures=25, suites=("libero_goal",)))
    b = run("b", with_errors(libero(failures=5, suites=("libero_goal",))))
    match = only(compare(a, b))
    assert match.verdict == "B is better"
    assert match.difference.mean == pytest.approx(0.4)
    assert match.errors_b == {"policy": 50, "other_failed": 50}


def test_a_success_after_the_policy_lost_the_episode_is_another_try(run, record):
    a = run("a", [record(init=i, success=False) for i in range(20)])
    b = run("b", [record(init=i, policy_losses=1) for i in range(20)])
    match = only(compare(a, b))
    assert match.verdict == "no difference shown"
    assert match.errors_b == {"replayed": 20, "other_failed": 20}


def test_errors_are_counted_by_the_other_runs_outcome(run, record):
    a = run("a", [record(init=i, success=i < 3) for i in range(6)])
    b = run("b", [record(init=i, success=None if i in (0, 1, 5) else True) for i in range(6)])
    assert only(compare(a, b)).errors_b == {"machine": 3, "other_succeeded": 2, "other_failed": 1}


# Conditions


@pytest.mark.parametrize(
    "other",
    [
        {"config": {"max_steps": 100}},
        {"protocol": {"name": "libero/openvla", "version": 2}},
        {"protocol": {"name": "libero/openvla", "version": 1, "steps": 10}},
    ],
)
def test_other_conditions_forbid_a_verdict(run, libero, other):
    a = run("a", libero(inits=5), protocol={"name": "libero/openvla", "version": 1, "steps": 20})
    b = run("b", libero(inits=5, failures=5), **other)
    with pytest.raises(Incomparable):
        compare(a, b)
    assert compare(a, b, anyway=True).columns


def test_a_run_of_two_packs_is_not_its_mirror_image(run, record):
    def half(first, second):
        return [
            record(
                init=i, assets={"pack": first if i < 10 else second, "fingerprint": "f"}, success=(i < 10) == (first == "standin")
            )
            for i in range(20)
        ]

    a, b = run("a", half("official", "standin")), run("b", half("standin", "official"))
    with pytest.raises(Incomparable, match="mixed assets"):
        compare(a, b)
    assert only(compare(a, b, anyway=True)).difference.scenes == 20


def test_other_machines_are_reported(run, libero):
    a = run("a", libero(inits=2), versions={"mujoco": "3.2"}, gl={"renderer": "H200"})
    b = run("b", libero(inits=2), versions={"mujoco": "2.3.7"}, gl={"renderer": "llvmpipe"})
    assert {one.name for one in compare(a, b).condition_differences} == {"version of mujoco", "gl renderer"}


def test_policy_without_fingerprint_is_reported(run, libero):
    a, b = (run(name, libero(inits=2), policy={"fingerprint": says}) for name, says in (("a", {"weights": "w1"}), ("b", None)))
    assert [one.name for one in compare(a, b).condition_differences] == ["policy fingerprint"]


def test_the_table_refuses_as_the_comparison_does(run, libero):
    a, b = run("a", libero(inits=5)), run("b", libero(inits=5), config={"max_steps": 100})
    (of_a,), (of_b,) = groups(a), groups(b)
    with pytest.raises(Incomparable):
        compare_columns(layouts.get("nora15/table2"), of_a, of_b)
    matches, unlike = compare_columns(layouts.get("nora15/table2"), of_a, of_b, anyway=True)
    assert matches
    assert [one.name for one in unlike if one.refused] == ["max_steps"]


def test_protocols_are_compared_on_equal_scenes_with_anyway(run, record):
    other = record(key="libero_goal/task_0/init0/seed0@libero/nora", protocol="libero/nora", success=False)
    assert only(compare(run("a", [record()]), run("b", [other]), anyway=True)).difference.mean == -1


# What must not drop out of sight


def test_a_column_that_one_run_has_lost_whole_is_open_and_not_absent(run, libero):
    """It vanished from the columns, so that losing every episode of the hard suite left one column: "B is better"."""
    a = run("a", libero(inits=10, suites=("libero_goal", "libero_10"), failures=2))
    lost = libero(inits=10, suites=("libero_10",))
    b = run("b", [*libero(inits=10, suites=("libero_goal",)), *(replace(r, success=None, termination="error") for r in lost)])
    found = {match.name: match for match in compare(a, b).columns}
    assert list(found) == ["Goal", "Long"]
    assert found["Goal"].family == 2
    assert found["Long"].verdict == "no difference shown"
    assert found["Long"].difference.means == pytest.approx((-0.8, 0.2))


def test_unequal_seeds_per_scene_are_reported_for_either_run(run, record):
    """The best of three seeds of each state once passed for a run of it."""
    a = run("a", [record(init=i, seed=s, success=s > 0) for i in range(50) for s in range(3)])
    b = run("b", [record(init=i, seed=i % 3) for i in range(50)])
    for pair in ((a, b), (b, a)):
        assert "seeds differ from scene to scene" in only(compare(*pair)).part

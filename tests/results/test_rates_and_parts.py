"""Which episodes a cell counts, what errors leave open in it, and how a part of the benchmark is named."""

from itertools import count

import pytest
from nora_bench.results import layouts
from nora_bench.results.conditions import Incomparable, conditions, differences, require_comparable
from nora_bench.results.tables.build import build

LIBERO = layouts.get("nora15/table2")
STANDIN = {"pack": "standin", "fingerprint": "feedfeedfeedfeed"}


@pytest.fixture
def lines(run):
    """The measured rows of runs given as records and facts of run.json."""

    numbers = count()

    def make(records, **facts):
        mine = run(f"mine{next(numbers)}", records, **facts)
        return [line for line in build(LIBERO, [mine]).rows if line.kind == "measured"]

    return make


@pytest.fixture
def goal(lines):
    """The one cell of a libero_goal run."""
    return lambda records, **facts: lines(records, **facts)[0].cells["Goal", "success"]


# Every episode counts


def test_a_state_whose_seeds_play_out_alike_weighs_as_much_as_one_whose_seeds_differ(goal, record):
    """Two robust states that succeed under all three seeds, two whose seeds differ and of which one in three succeeds."""
    alike = [record("libero_goal", 0, init, seed, trajectory_sha256=f"same{init}") for init in (0, 2) for seed in range(3)]
    noisy = [record("libero_goal", 0, init, seed, success=seed == 0) for init in (1, 3) for seed in range(3)]
    cell = goal([*alike, *noisy])
    assert (cell.k, cell.n, cell.value) == (8, 12, pytest.approx(100 * 8 / 12))


def test_repeats_neither_widen_nor_narrow_an_interval(goal, libero):
    one = goal(libero(suites=("libero_goal",), failures=5))
    three = libero(suites=("libero_goal",), failures=5, seeds=3)
    repeated = [r.from_json({**r.to_json(), "trajectory_sha256": f"{r.task_id}-{r.init_state}"}) for r in three]
    found = goal(repeated)
    assert found.n == 3 * one.n
    assert (found.value, found.low, found.high) == pytest.approx((one.value, one.low, one.high), abs=1e-6)


# Errors bound a rate


def test_a_policy_that_loses_what_it_would_fail_gains_nothing(goal, libero):
    """Every failure turned into an error: the cell's value counts them as failures, its upper end as successes."""
    honest = libero(suites=("libero_goal",), failures=25)
    lost = [r if r.success else r.from_json({**r.to_json(), "success": None, "termination": "error"}) for r in honest]
    cell = goal(lost)
    assert (cell.value, cell.upper, cell.uncertain) == (pytest.approx(50), 100, 250)
    assert cell.low < 50.0
    assert cell.high == 100.0


def test_a_cell_with_errors_is_never_the_best(goal, libero, record):
    records = libero(suites=("libero_goal",))
    assert goal(records).best
    records[0] = record("libero_goal", 0, 0, success=None)
    assert not goal(records).best


def test_a_success_after_the_policy_lost_the_episode_counts_in_the_upper_bound_alone(goal, record):
    records = [record("libero_goal", 0, init, policy_losses=init % 2, attempts=1 + init % 2) for init in range(10)]
    cell = goal(records)
    assert (cell.k, cell.value, cell.upper) == (5, 50.0, 100.0)


def test_a_failure_stays_a_failure_however_often_it_was_lost(goal, record):
    cell = goal([record("libero_goal", 0, init, success=False, policy_losses=2) for init in range(10)])
    assert (cell.value, cell.upper) == (0.0, None)


def test_errors_are_reported_by_cause_and_restarts_by_number(lines, record):
    records = [record("libero_goal", 0, init) for init in range(10)]
    records[0] = record("libero_goal", 0, 0, success=None, cause="policy")
    records[1] = record("libero_goal", 0, 1, success=None)
    records[2] = record("libero_goal", 0, 2, attempts=2)
    (line,) = lines(records)
    assert line.provenance["errors"] == {"policy": 1, "machine": 1}
    assert line.provenance["restarted"] == 1
    assert "1 due to the simulator or machine, 1 due to the policy" in line.notes[0]
    assert "1 episodes were started more than once" in line.notes[0]


def test_a_column_of_errors_alone_says_that_nothing_is_known(goal, record):
    cell = goal([record("libero_goal", 0, init, success=None) for init in range(12)])
    assert (cell.value, cell.upper, cell.low, cell.high) == (0.0, 100.0, 0.0, 100.0)


# A suite's cell needs the whole suite


def test_some_tasks_of_a_suite_are_a_row_of_their_own(lines, libero):
    (line,) = lines(libero(tasks=5, suites=("libero_goal",)))
    assert line.part == "tasks 0-4"
    assert "tasks 0-4" in line.label
    assert not line.ranked


def test_the_easiest_task_of_every_suite_makes_no_average(lines, libero):
    (line,) = lines(libero(tasks=1))
    assert line.part == "task 0"
    assert ("Average", "success") not in line.cells
    assert not any(cell.best for cell in line.cells.values())


def test_a_whole_suite_beside_a_part_of_another_keeps_its_own_row(lines, libero):
    whole, part = lines([*libero(suites=("libero_goal",)), *libero(tasks=3, suites=("libero_10",))])
    assert (whole.part, set(whole.cells)) == ("", {("Goal", "success")})
    assert (part.part, set(part.cells)) == ("tasks 0-2", {("Long", "success")})


def test_fewer_initial_states_are_named_and_not_ranked(lines, libero):
    (line,) = lines(libero(inits=5))
    assert line.part == "5 of 50 initial states"
    assert not line.ranked
    assert ("Average", "success") in line.cells


@pytest.mark.parametrize(
    ("facts", "part"),
    [
        ({"status": "interrupted", "counts": {"planned": 1500}}, "500 of 1500 episodes, interrupted"),
        ({"status": "running", "counts": {"planned": 1500}}, "500 of 1500 episodes, still running"),
        ({"status": "finished", "counts": {"planned": 1500}}, "500 of 1500 episodes"),
        ({"config": {"max_steps": 600}}, "cut at 600 steps"),
        (
            {"until": {"stop": True, "text": "width<10", "low": 0.9, "high": 1.0}, "counts": {"planned": 1500}},
            "500 of 1500 episodes, stopped early",
        ),
    ],
)
def test_incomplete_run_is_labelled_and_not_ranked(lines, libero, facts, part):
    (line,) = lines(libero(suites=("libero_goal",)), **facts)
    assert line.part == part
    assert not line.ranked
    assert not line.cells["Goal", "success"].best


def test_seeds_missing_in_some_scenes_are_named(lines, libero):
    records = [r for r in libero(suites=("libero_goal",), seeds=3) if r.seed == 0 or r.task_id < 2]
    assert lines(records)[0].part == "seeds differ from scene to scene"


def test_states_that_the_benchmark_does_not_have_are_named(lines, libero):
    assert "not the benchmark's 0-49" in lines(libero(suites=("libero_goal",), inits=60))[0].part


@pytest.mark.parametrize("pack", [STANDIN, {"pack": "mine", "fingerprint": "ffff"}, {}])
def test_only_the_benchmarks_own_images_can_be_the_best(lines, libero, pack):
    assert not any(line.ranked for line in lines(libero(assets=pack)))


@pytest.mark.parametrize("mark", ["untrained", "privileged", "replayed", "blind"])
def test_a_policy_with_any_mark_is_not_ranked(lines, libero, mark):
    assert not lines(libero(), policy={"marks": [mark]})[0].ranked


# How a cell reads


def test_a_cell_reads_as_rate_and_bounds(goal, libero):
    assert goal(libero(suites=("libero_goal",))).text == "100.0 [99.3, 100.0]"


def test_fewer_than_ten_initial_states_show_their_counts_alone(goal, record):
    assert goal([record("libero_goal", 0, init, success=init > 0) for init in range(4)]).text == "3/4"
    assert goal([record("libero_goal", 0, 0, seed) for seed in range(40)]).text == "40/40"


# Conditions


@pytest.fixture
def pair(run, libero):
    """Two runs of one policy; the second under other facts of run.json, or with other fields in its records."""

    def make(facts=None, **fields):
        base = {
            "policy": {"name": "nora", "args": {"speed": "0.1"}, "fingerprint": {"class": "m:P"}},
            "versions": {"mujoco": "3.2.3"},
        }
        a = run("a", libero(tasks=1, suites=("libero_goal",)), **base)
        return a, run("b", libero(tasks=1, suites=("libero_goal",), **fields), **{**base, **(facts or {})})

    return make


@pytest.mark.parametrize(
    ("facts", "fields", "name"),
    [
        ({"config": {"max_steps": 600}}, {}, "max_steps"),
        ({"protocol": {"name": "libero/openvla", "version": 2}}, {}, "protocol_version"),
        ({}, {"protocol": "libero/nora"}, "protocol"),
        ({}, {"assets": STANDIN}, "assets"),
    ],
)
def test_another_benchmark_forbids_a_verdict(pair, facts, fields, name):
    a, b = pair(facts, **fields)
    assert [one.name for one in differences(conditions(a), conditions(b)) if one.refused][:1] == [name]
    with pytest.raises(Incomparable, match="different conditions"):
        require_comparable(a, b, "")


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"versions": {"mujoco": "2.3.7"}}, "version of mujoco"),
        ({"gl": {"backend": "osmesa", "renderer": "llvmpipe"}}, "gl backend"),
        ({"policy": {"name": "nora", "args": {"speed": "0.2"}, "fingerprint": {"class": "m:P"}}}, "policy argument speed"),
        ({"policy": {"name": "nora", "args": {"speed": "0.1"}, "fingerprint": None}}, "policy fingerprint"),
        ({"status": "interrupted"}, "status"),
        ({"until": {"stop": True, "text": "width<5", "low": 0.9, "high": 1.0}}, "stopped"),
    ],
)
def test_other_conditions_are_named_and_allow_a_verdict(pair, facts, name):
    a, b = pair(facts)
    assert name in [one.name for one in require_comparable(a, b, "")]


def test_equal_runs_differ_in_nothing(pair):
    a, b = pair()
    assert differences(conditions(a), conditions(b)) == []
    assert conditions(a).digest == conditions(b).digest


def test_a_run_of_two_packs_is_held_against_nothing_not_even_its_mirror_image(run, libero):
    records = libero(tasks=1, suites=("libero_goal",))
    halves = [r.from_json({**r.to_json(), "assets": STANDIN}) if r.init_state < 25 else r for r in records]
    mirror = [r.from_json({**r.to_json(), "assets": STANDIN}) if r.init_state >= 25 else r for r in records]
    with pytest.raises(Incomparable, match="mixed assets"):
        require_comparable(run("a", halves), run("b", mirror), "")


def test_each_row_of_a_run_with_two_protocols_names_its_own(run, libero):
    own, other = libero(suites=("libero_goal",)), libero(suites=("libero_goal",), protocol="libero/nora")
    other = [r.from_json({**r.to_json(), "key": f"{r.key} again"}) for r in other]
    found = run("mine", [*own, *other], protocol={"name": "libero/openvla", "version": 1})
    lines = [line for line in build(LIBERO, [found]).rows if line.kind == "measured"]
    reported = [(line.provenance["protocol"], line.provenance["protocol_version"]) for line in lines]
    assert reported == [(["libero/openvla"], 1), (["libero/nora"], None)]


def test_over_seeds_adds_a_row_of_mean_and_deviation(run, libero):
    records = libero(suites=("libero_goal",), seeds=2, failures=5)
    records = [r.from_json({**r.to_json(), "success": False}) if r.seed and r.init_state < 10 else r for r in records]
    table = build(LIBERO, [run("mine", records)], seeds=True)
    (line,) = [line for line in table.rows if line.kind == "seeds"]
    assert line.cells["Goal", "success"].text == "85.0 ± 7.1"
    assert not line.ranked


def test_seeds_of_different_scenes_have_no_deviation(run, record):
    """The best seed of each state was once printed as 99.4 ± 1.0 beside a rate of 98.6."""
    chosen = [record(task=task, init=i, seed=i % 3) for task in range(10) for i in range(50)]
    table = build(LIBERO, [run("mine", chosen)], seeds=True)
    assert not [line for line in table.rows if line.kind == "seeds"]


def test_one_seed_has_no_deviation(run, libero):
    table = build(LIBERO, [run("mine", libero(suites=("libero_goal",)))], seeds=True)
    assert [line for line in table.rows if line.kind == "seeds"] == []


# Estimand


def test_the_benchmarks_own_states_leave_only_the_policys_noise(run, libero):
    """All 50 states under three seeds that agree in every state but one: nearly all is known about these very states."""
    records = libero(suites=("libero_goal",), seeds=3, failures=10)
    records[0] = records[0].from_json({**records[0].to_json(), "success": True})
    played = run("mine", records)
    states, benchmark = (
        next(line for line in build(LIBERO, [played], estimand=estimand).rows if line.kind == "measured").cells["Goal", "success"]
        for estimand in ("states", "benchmark")
    )
    assert states.value == benchmark.value
    assert benchmark.high - benchmark.low < 0.5 * (states.high - states.low)


def test_seeds_that_repeat_every_trajectory_leave_nothing_unknown(run, libero):
    three = libero(suites=("libero_goal",), seeds=3, failures=10)
    same = [r.from_json({**r.to_json(), "trajectory_sha256": f"{r.task_id}-{r.init_state}"}) for r in three]
    (line,) = [one for one in build(LIBERO, [run("mine", same)], estimand="benchmark").rows if one.kind == "measured"]
    cell = line.cells["Goal", "success"]
    assert (cell.low, cell.high) == pytest.approx((80, 80))


def test_the_estimand_is_printed(cli, run, libero):
    folder = run("mine", libero(suites=("libero_goal",))).folder
    assert "new initial states" in cli("table", "nora15/table2", folder, "--json").out
    assert "exactly the benchmark's" in cli("table", "nora15/table2", folder, "--estimand", "benchmark", "--json").out
    assert cli("table", "nora15/table2", folder, "--estimand", "tasks").code == 2

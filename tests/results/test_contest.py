import json

import pytest
from nora_bench.results.contest import OVERALL, compare, rank


@pytest.fixture
def runs(run, libero):
    """Runs on the same scenes of two suites, told apart by their failures per task: `runs(3, 8)`."""

    def make(*failures, suites=("libero_goal", "libero_10"), **fields):
        return [
            run(f"run{i}", libero(inits=20, failures=f, suites=suites, policy=f"policy{i}", **fields))
            for i, f in enumerate(failures)
        ]

    return make


def test_every_suite_and_all_together_are_compared(runs):
    assert [match.suite for match in compare(*runs(3, 8))] == ["libero_goal", "libero_10", OVERALL]


def test_a_clear_difference_is_called(runs):
    match = compare(*runs(3, 8))[0]
    assert match.verdict == "A is better"
    assert match.difference.mean == pytest.approx(-0.25)
    assert len(match.flipped) == 50


def test_equal_runs_show_no_difference(runs):
    assert {match.verdict for match in compare(*runs(3, 3))} == {"no difference shown"}


def test_runs_without_a_common_scene_cannot_be_compared(run, libero):
    assert compare(run("a", libero(suites=("libero_goal",))), run("b", libero(suites=("libero_10",)))) == []


def test_suites_are_corrected_for_their_number(run, libero):
    a, b = run("a", libero(tasks=1, inits=30, failures=5)), run("b", libero(tasks=1, inits=30))
    goal = compare(a, b)[0]
    assert goal.difference.p == pytest.approx(0.0625)
    assert goal.p_holm == pytest.approx(0.25)


def test_several_policies_are_ranked_with_ties(runs):
    standings, p_values = rank(runs(3, 9, 3, 15))
    assert [(s.run.name, s.rank) for s in standings] == [("run0", 1), ("run2", 1), ("run1", 3), ("run3", 4)]
    assert p_values[0][2] == 1.0


def test_only_scenes_that_all_played_count(run, libero):
    runs = [run("a", libero(inits=5, suites=("libero_goal",))), run("b", libero(inits=9, suites=("libero_goal",)))]
    assert {standing.rate.n for standing in rank(runs)[0]} == {50}


def test_the_command_prints_flips_and_what_would_settle_it(cli, runs):
    a, b = runs(3, 4, suites=("libero_goal",))
    shown = cli("compare", a.folder, b.folder)
    assert shown.code == 0
    assert "won by A: libero_goal/task_0/init3/seed0@libero/openvla" in shown.out
    assert "10 episodes ended differently" in shown.out


def test_the_command_says_where_conditions_differ_too(cli, run, libero):
    a = run("a", libero(suites=("libero_goal",)))
    b = run("b", libero(suites=("libero_goal",), assets={"pack": "standin", "fingerprint": "f"}))
    assert "differ in their assets too" in cli("compare", a.folder, b.folder).out


def test_the_command_tells_settings_of_the_policies_apart(cli, run, libero):
    """One checkpoint, played with and without samples: by its name it is the same policy."""
    a, b = (run(f"run{noise}", libero(), policy={"fingerprint": {"noise": noise, "chunk": 5}}) for noise in (1.0, 0.0))
    shown = cli("compare", a.folder, b.folder).out
    assert "noise: 1.0 in A, 0.0 in B" in shown and "chunk" not in shown
    assert json.loads(cli("compare", a.folder, b.folder, "--json").out)["settings"] == {"noise": [1.0, 0.0]}


def test_json_lists_every_flip(cli, runs):
    a, b = runs(3, 8, suites=("libero_goal",))
    found = json.loads(cli("compare", a.folder, b.folder, "--json").out)
    assert len(found["matches"][0]["flipped"]) == 50


def test_three_runs_are_ranked(cli, runs):
    shown = cli("compare", *(run.folder for run in runs(3, 9, 3))).out
    assert [line.split()[0] for line in shown.splitlines()[:3]] == ["1", "1", "3"]


def test_trials_on_the_robot_are_correlated_with(cli, runs, run, record):
    sim = runs(2, 4, 8)
    real = [
        run(f"real{i}", [record("widowx", "Put carrot in pot", n, success=n < k, policy=f"policy{i}") for n in range(10)])
        for i, k in enumerate((9, 7, 3))
    ]
    shown = cli("compare", *(r.folder for r in sim), *(part for r in real for part in ("--real", r.folder))).out
    assert "Pearson 1.000, mean maximum rank violation 0.000" in shown


@pytest.mark.parametrize("count", [0, 1])
def test_one_run_alone_is_refused(cli, runs, count):
    assert cli("compare", *(r.folder for r in runs(*[3] * count))).code == 2


def test_runs_that_share_nothing_are_refused_with_what_to_do(cli, run, libero):
    a, b = run("a", libero(suites=("libero_goal",))), run("b", libero(suites=("libero_10",)))
    ended = cli("compare", a.folder, b.folder)
    assert ended.code == 2
    assert "the same --suite" in ended.err

import json

import pytest
from nora_bench.results.summary import find_episode, summarise


@pytest.fixture
def goal(run, libero, record):
    """Two tasks of five episodes, two failures each; one more that ended in an error."""
    records = libero(tasks=2, inits=5, failures=2, suites=("libero_goal",))
    return run("goal", [*records, record(task=1, init=9, success=None, error="step: NaN")], counts={"planned": 12})


def test_episodes_are_counted_by_how_they_ended(goal):
    assert summarise(goal)["counts"] == {
        "planned": 12,
        "finished": 11,
        "scored": 10,
        "successes": 6,
        "errors": 1,
        "policy_errors": 0,
        "machine_errors": 0,
        "conditions": 0,
        "restarted": 0,
        "lost_by_policy": 0,
        "policy_losses": 0,
    }


def test_a_task_shows_both_bounds_where_an_error_leaves_its_rate_open(goal):
    task = summarise(goal)["suites"][0]["tasks"][1]
    assert (task["k"], task["n"], task["uncertain"]) == (3, 6, 1)
    assert (task["mean"], task["upper"]) == (0.5, pytest.approx(4 / 6))
    assert task["low"] < 0.5
    assert task["upper"] < task["high"]


def test_errors_are_grouped_with_their_keys(goal):
    assert summarise(goal)["errors"] == [
        {"error": "step: NaN", "cause": "", "count": 1, "keys": ["libero_goal/task_1/init9/seed0@libero/openvla"]}
    ]


def test_errors_are_counted_by_their_cause(cli, run, record):
    found = run(
        "run",
        [
            record(init=0),
            record(init=1, attempts=3, policy_losses=2),
            record(init=2, success=None, error="lost", cause="policy", attempts=3, policy_losses=3),
            record(init=3, success=None, error="killed", cause="machine", attempts=3),
            record(init=4, success=None, error="of an earlier version"),
        ],
    )
    reported = summarise(found)
    names = ("errors", "policy_errors", "machine_errors", "restarted", "lost_by_policy", "policy_losses")
    assert [reported["counts"][name] for name in names] == [3, 1, 1, 3, 2, 5]
    assert [error["cause"] for error in reported["errors"]] == ["policy", "machine", ""]
    assert (
        "3 ended in an error: 1 due to the policy, 1 due to the simulator or machine, 1 of unknown cause"
        in cli("show", found.folder).out
    )


def test_seconds_are_summed_by_phase(goal):
    assert summarise(goal)["seconds"] == pytest.approx({"reset": 1.1, "step": 11, "render": 5.5, "policy": 2.2, "total": 22})


def test_a_misspelt_key_names_the_nearest(goal):
    with pytest.raises(KeyError, match="did you mean libero_goal/task_0/init0"):
        find_episode(goal, "libero_goal/task_0/init0/seed0@libero/openvl")


def test_show_prints_what_failed_and_where_the_time_went(cli, goal):
    shown = cli("show", goal.folder).out
    assert "11 finished of 12 planned: 10 scored, 1 ended in an error" in shown
    assert "1 x step: NaN" in shown
    assert "reset 1.1 s (5%)" in shown


@pytest.mark.parametrize("served", [False, True])
def test_show_prints_which_statistics_scaled_the_actions(cli, run, record, served):
    found = {
        "statistics": {"libero_goal": "libero_all"},
        "statistics_from": {
            "libero_goal": {"source": "dataset_statistics.json", "numbers": "q01/q99", "by": "option", "sha256": "ab"}
        },
    }
    fingerprint = {"server": {"declared": {"fingerprint": found}}} if served else found
    folder = run("scaled", [record()], policy={"name": "mine", "fingerprint": fingerprint}).folder
    shown = " ".join(cli("show", folder).out.split())
    assert "libero_all for libero_goal (dataset_statistics.json, q01/q99, named by the user, sha256 ab)" in shown


def test_show_json_is_the_summary(cli, goal):
    assert json.loads(cli("show", goal.folder, "--json").out) == json.loads(json.dumps(summarise(goal)))


def test_show_key_prints_one_episode_and_how_to_see_it(cli, goal):
    key = goal.records[0].key
    assert f"nora-bench replay {goal.folder} '{key}'" in cli("show", goal.folder, "--key", key).out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("table", "nora15/table9"), "did you mean nora15/table6"),
        (("table", "nora15/table2", "--format", "mardown"), "did you mean markdown"),
        (("table", "no-such-run"), "is not a run"),
        (("show", "no-such-run"), "is not a run"),
    ],
)
def test_bad_input_ends_with_2_and_one_message(cli, arguments, message):
    ended = cli(*arguments)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_table_takes_the_table_that_fits_the_runs(cli, goal):
    assert json.loads(cli("table", goal.folder, "--json").out)["table"] == "nora15/table2"


def test_table_without_arguments_lists_the_tables(cli):
    assert "nora15/table6" in cli("table").out


def test_table_writes_to_a_file(cli, goal, tmp_path):
    cli("table", goal.folder, "--format", "latex", "--out", tmp_path / "t.tex")
    assert (tmp_path / "t.tex").read_text().startswith(r"\begin{table}")


def test_show_says_how_busy_policy_and_workers_were(cli, run, libero):
    used = {"wall_s": 100.0, "policy_s": 25.0, "workers_s": 320.0, "workers": 4}
    mine = run("mine", libero(tasks=1, inits=1), utilisation=used)
    assert "policy 25%, 4 workers 80% of 100.0 s" in cli("show", mine.folder).out

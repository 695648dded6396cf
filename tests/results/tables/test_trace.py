import json

import pytest
from nora_bench.envs.errors import UnknownName
from nora_bench.results import layouts


@pytest.fixture
def mine(run, libero, record):
    """Two tasks of three episodes each; one is repeated under another seed, one more ended in an error."""
    extra = [
        record("libero_goal", 0, 0, seed=1, success=False, trajectory_sha256=record("libero_goal", 0, 0).trajectory_sha256),
        record("libero_goal", 1, 9, success=None, error="step: NaN"),
    ]
    return run("mine", [*libero(tasks=2, inits=3, failures=1, suites=("libero_goal",)), *extra])


def test_a_cell_lists_the_episodes_that_it_counts(cli, mine):
    (cell,) = json.loads(cli("show", mine.folder, "--cell", "nora/Goal", "--json").out)[:1]
    assert (cell["k"], cell["n"], len(cell["counted"])) == (4, 8, 7)


def test_a_cell_says_which_episodes_it_leaves_open_and_why(cli, mine):
    (cell,) = json.loads(cli("show", mine.folder, "--cell", "nora/Goal", "--json").out)[:1]
    (uncertain,) = cell["left_out"]
    assert uncertain["key"] == "libero_goal/task_1/init9/seed0@libero/openvla"
    assert "step: NaN" in uncertain["reason"]
    assert cell["value"] < cell["upper"]


def test_a_published_cell_names_its_source_and_what_does_not_add_up(cli, mine):
    shown = cli("show", mine.folder, "--cell", "WorldVLA/Average").out
    assert "79.1 %, printed in NORA-1.5, arXiv:2511.14659v1, Table 2" in shown
    assert "81.80" in shown


def test_the_published_namesake_is_shown_too(cli, mine):
    assert "85.6" not in cli("show", mine.folder, "--cell", "NORA/Goal").out
    assert "80.0 %, printed in" in cli("show", mine.folder, "--cell", "NORA/Goal").out


def test_a_column_may_hold_a_slash(cli, mine):
    shown = cli("show", mine.folder, "--cell", "NORA-1.5 (DPO)/VM Open/Close Drawer", "--table", "nora15/table1").out
    assert "66.4 %" in shown


def test_unknown_metric_is_rejected_with_those_of_the_table(cli, mine):
    with pytest.raises(UnknownName) as caught:
        layouts.get("nora15/table3").metric("sucess")
    assert caught.value.known == ("partial", "distractor", "success")
    ended = cli("show", mine.folder, "--cell", "nora/Goal", "--metric", "partial")
    assert (ended.code, "known: success" in ended.err) == (2, True)


@pytest.mark.parametrize(("name", "message"), [("nora", "form policy/column"), ("nora/Gaol", "Goal"), ("mora/Goal", "nora")])
def test_a_cell_that_is_not_there_is_refused_with_what_is(cli, mine, name, message):
    ended = cli("show", mine.folder, "--cell", name)
    assert ended.code == 2
    assert message in ended.err

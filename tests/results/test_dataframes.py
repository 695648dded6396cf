from pathlib import Path

import pytest
from nora_bench.results.run import load_run


@pytest.fixture(scope="module")
def run():
    return load_run(Path(__file__).parent / "data" / "run-v1")


def test_a_row_is_an_episode_and_a_column_a_field(run):
    frame = run.frame()
    assert list(frame.key) == [record.key for record in run.records]
    assert frame.loc[0, "steps"] == run.records[0].steps
    assert frame.loc[0, "seconds.total"] == 2.5
    assert frame.loc[0, "measures.partial"]


def test_episodes_that_ended_in_an_error_are_in_no_mean(run):
    frame = run.frame()
    assert frame.success.isna().tolist() == [False, False, True]
    assert frame.success.mean() == sum(bool(record.success) for record in run.records[:2]) / 2


def test_tasks_and_suites_carry_their_intervals(run):
    for frame in (run.tasks(), run.rates()):
        assert {"suite", "k", "n", "mean", "low", "high"} <= set(frame.columns)
        assert (frame.low <= frame["mean"]).all()
        assert (frame["mean"] <= frame.high).all()
    assert run.tasks().n.sum() == 3
    assert run.tasks().uncertain.sum() == 1

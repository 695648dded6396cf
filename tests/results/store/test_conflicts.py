"""Files in which one episode has two outcomes: nothing is decided by the order of lines."""

import pytest
from nora_bench.envs.errors import StoreError
from nora_bench.results.store.reader import read_run
from nora_bench.results.store.writer import Store
from nora_bench.results.summary import counts


@pytest.fixture
def reported(record):
    """Records of one episode: won, lost, and won by other states."""
    return {
        "won": record(init=1),
        "lost": record(init=1, success=False, trajectory_sha256="f" * 64, attempts=2),
        "won otherwise": record(init=1, trajectory_sha256="e" * 64),
        "error": record(init=1, success=None, error="step: killed", cause="machine"),
    }


@pytest.mark.parametrize("order", [("won", "lost"), ("lost", "won"), ("won", "won", "lost"), ("won", "lost", "lost")])
def test_the_order_of_lines_decides_nothing(run, record, reported, order):
    found = run("run", [record(init=0), *(reported[name] for name in order)])
    assert len(found.records) == 2
    stands = found.records[1]
    assert (stands.success, stands.termination, stands.cause) == (None, "error", "machine")
    assert stands.error == "recorded with different outcomes: failure after 300 steps and success after 100 steps"
    ((key, records),) = found.conflicts
    assert key == reported["won"].key
    assert {one.success for one in records} == {True, False}
    assert any("non-determinism" in note for note in found.notes)
    assert counts(found)["errors"] == 1


@pytest.mark.parametrize(
    "other",
    [{"success": None, "error": "step: killed"}, {"success_any": False}, {"measures": {"partial": True}}],
)
def test_any_part_of_an_outcome_can_contradict(run, record, other):
    found = run("run", [record(success_any=True), record(**{"success_any": True, **other})])
    assert len(found.conflicts) == 1
    assert found.records[0].success is None


def test_a_line_that_is_there_twice_counts_once(run, reported):
    found = run("run", [reported["won"], reported["won"]])
    assert (found.records, found.conflicts) == ((reported["won"],), ())
    assert "line 2 repeats episode" in found.notes[0]
    assert "non-determinism" not in found.notes[0]


def test_other_trajectory_with_the_same_outcome_is_reported_and_counts_once(run, reported):
    found = run("run", [reported["won"], reported["won otherwise"]])
    assert (found.records, found.conflicts) == ((reported["won"],), ())
    assert "another trajectory: evidence of non-determinism" in found.notes[0]


def test_equal_states_with_different_success_are_reported(run, record):
    found = run("run", [record(seed=0, trajectory_sha256="a"), record(seed=1, trajectory_sha256="a", success=False)])
    assert [one.success for one in found.records] == [True, False]
    assert "have the same states to the bit and different success" in found.notes[0]


def test_equal_states_of_other_scenes_are_no_evidence(run, record):
    assert run("run", [record(init=0, trajectory_sha256="a"), record(init=1, trajectory_sha256="a", success=False)]).notes == ()


def test_a_contradicted_episode_is_recorded_and_can_take_no_more(write, record, reported):
    folder = write("run", [reported["won"], reported["lost"]])
    with Store.open(folder) as store:
        assert store.keys() == {reported["won"].key}
        with pytest.raises(StoreError, match="recorded already"):
            store.append(reported["won"])
        store.append(record(init=2))
    assert len(read_run(folder).records) == 2


def test_verify_does_not_let_it_pass(cli, write, reported):
    verified = cli("verify", write("run", [reported["won"], reported["lost"]]), "--sample", 0)
    assert verified.code == 1
    assert "contradicts what was recorded of episode" in verified.out


def test_an_episode_that_the_policy_lost_once_stays_the_policys_error(run, record):
    lost = record(init=1, success=None, error="step: connection lost", cause="policy")
    (stands,) = run("run", [lost, record(init=1)]).records
    assert (stands.success, stands.cause) == (None, "policy")

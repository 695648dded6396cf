"""Runs with delayed answers of the policy, through the command line."""

import json

import pytest
from nora_bench.results.store.reader import read_run

BRIEF = ("--tasks", 0, "--episodes", 2, "--no-policy-check")


@pytest.fixture
def timed(bench, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_TRUST", "fakes:toy_timed")
    return lambda *args, **options: bench(*BRIEF, *args, suite="fakes:toy_timed", **options)


def plain_and(played, name):
    """(control, perturbed) records by initial state."""
    records = played.records.values()
    return [
        (control, other)
        for control in records
        for other in records
        if (control.perturbation, other.perturbation, other.init_state) == ("", name, control.init_state)
    ]


@pytest.mark.parametrize("policy", ["fakes:Walk", "fakes:Stagger"])
def test_zero_delay_gives_the_states_of_the_control(timed, policy):
    pairs = plain_and(timed("--perturb", "latency:0ms,latency:0ms-hold", policy=policy), "latency-0ms")
    assert [control.trajectory_sha256 for control, _ in pairs] == [other.trajectory_sha256 for _, other in pairs]
    assert len(pairs) == 2


def test_delayed_episode_records_its_facts_and_takes_longer(timed):
    (control, late), *_ = plain_and(timed("--perturb", "latency:200ms"), "latency-200ms")
    assert control.latency == {}
    assert (late.latency["delay_steps"], late.latency["control_hz"]) == (2, 10)
    assert late.steps > control.steps


def test_measured_latency_is_stored_and_used_again_when_the_run_resumes(timed, cli, tmp_path):
    whole = timed("--perturb", "latency:measured", policy="fakes:Slow", out="whole")
    measured = whole.run["latency"]["policy_ms"]
    assert len(measured) == 20 and min(measured) > 0
    assert {record.latency.get("delay_steps") for record in whole.records.values() if record.perturbation} == {1}
    before = whole.trajectories
    lines = (whole.folder / "episodes.jsonl").read_text().splitlines(keepends=True)
    (whole.folder / "episodes.jsonl").write_text(lines[0])
    assert cli("run", "--resume", "--out", whole.folder).code == 0
    again = read_run(whole.folder)
    assert again.metadata.latency == {"policy_ms": measured}
    assert {record.key: record.trajectory_sha256 for record in again.records} == before


def test_delayed_episodes_replay_to_the_bit(timed, cli):
    played = timed("--perturb", "latency:200ms,latency:300ms-hold")
    ended = cli("verify", played.folder, "--sample", 1, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["replayed"] == 6


def test_delayed_episodes_under_a_chunk_end_rule_replay_to_the_bit(timed, cli):
    played = timed("--perturb", "latency:200ms", "--protocol", "toy/chunk-end")
    assert cli("verify", played.folder, "--sample", 1).code == 0


def test_suite_without_an_action_specification_is_rejected(bench):
    ended = bench(*BRIEF, "--perturb", "latency:100ms", suite="fakes:toy")
    assert ended.code == 2

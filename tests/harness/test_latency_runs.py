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


def test_dry_run_counts_pairs_and_names_the_smallest_difference(cli, tmp_path):
    arguments = (
        "run",
        "--suite",
        "libero_goal",
        "--init-states",
        "0-19",
        "--policy",
        "random",
        "--assets",
        "standin",
        "--dry-run",
    )
    latency = ("--perturb", "latency:100ms,latency:200ms-hold", "--assets", "standin", "--out", tmp_path / "none")
    plan = json.loads(cli(*arguments, *latency, "--json").out)
    assert plan["pairs"]["latency-100ms"] == {"pairs": 200, "smallest": pytest.approx(8.0, abs=0.05)}
    assert plan["pairs"].keys() == {"latency-100ms", "latency-200ms-hold"}
    assert "200 pairs" in cli(*arguments, *latency).out


def test_early_stopping_with_perturbations_is_rejected(timed):
    assert timed("--perturb", "latency:100ms", "--until", "width<10").code == 2


def test_controls_of_another_run_are_used_and_none_is_run_again(timed, cli, tmp_path):
    timed(out="plain")
    late = timed("--perturb", "latency:200ms", "--control", tmp_path / "plain", out="late")
    assert {record.perturbation for record in late.records.values()} == {"latency-200ms"}
    cells = json.loads(cli("table", "robust", late.folder, "--json").out)["cells"]
    assert {cell["item"] for cell in cells} == {"control", "latency"}


def test_merged_run_keeps_perturbed_episodes(timed, cli, tmp_path):
    plain, late = timed(out="plain"), timed("--perturb", "latency:200ms", out="late")
    ended = cli("merge", plain.folder, late.folder, "--out", tmp_path / "both")
    assert ended.code == 0, ended.err
    both = read_run(tmp_path / "both")
    assert sorted(record.perturbation for record in both.records) == ["", "", "latency-200ms", "latency-200ms"]
    assert both.metadata.counts["perturbed"] == 2
    assert both.metadata.config["perturb"] == ["latency-200ms"]


def test_resumed_run_completes_perturbed_episodes(timed, cli):
    whole = timed("--perturb", "latency:200ms", out="whole")
    before = whole.trajectories
    path = whole.folder / "episodes.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:1]))
    assert cli("run", "--resume", "--out", whole.folder).code == 0
    assert whole.trajectories == before


def test_jsonl_export_has_the_perturbation_and_the_facts_of_the_delay(timed, cli, tmp_path):
    late = timed("--perturb", "latency:200ms")
    assert cli("export", late.folder, "--format", "jsonl", "--out", tmp_path / "rows.jsonl").code == 0
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert {row["perturbation"] for row in rows} == {"", "latency-200ms"}
    assert all(bool(row["latency"]) == bool(row["perturbation"]) for row in rows)

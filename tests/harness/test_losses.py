"""Who lost an episode, the policy or the machine, and what is remembered of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nora_bench.results.store.reader import read_run
from nora_bench.results.store.writer import Store

SCENE = "toy/task1/init1/seed0"
KEY = f"{SCENE}@toy/plain"


def losses(played):
    return {key: (record.attempts, record.policy_losses) for key, record in played.records.items() if record.attempts > 1}


def test_episode_lost_by_the_policy_counts_the_loss(bench):
    played = bench("--episodes", 2, policy="losing:Loser")
    assert played.code == 0
    assert losses(played) == {f"toy/task1/init{i}/seed0@toy/plain": (2, 1) for i in range(2)}


def test_cause_of_a_lost_attempt_is_kept_where_the_retry_succeeds(bench, trouble, cli):
    assets = trouble({"kind": "raise", "phase": "step", "scene": SCENE})
    played = bench("--episodes", 2, "--assets", assets, "--workers", 1)
    assert (played.records[KEY].attempts, played.records[KEY].error) == (2, None)
    (lost,) = read_run(played.folder).lost_attempts
    assert (lost["key"], lost["attempt"], lost["by"], lost["log"]) == (KEY, 1, "machine", "logs/worker-0.log")
    assert "the toy broke" in lost["cause"]
    assert lost["cause"] in cli("show", played.folder).out
    assert lost["cause"] in cli("show", played.folder, "--key", KEY).out
    assert json.loads(cli("show", played.folder, "--key", KEY, "--json").out)["lost_attempts"] == [lost]


def test_every_lost_attempt_of_an_error_is_kept(bench):
    played = bench("--episodes", 1, "--policy-arg", "times=9", policy="losing:Loser")
    (error,) = (record for record in played.records.values() if record.success is None)
    lost = read_run(played.folder).lost_attempts
    assert [(one["key"], one["attempt"], one["by"]) for one in lost] == [(error.key, n, "policy") for n in (1, 2, 3)]


def test_episode_that_the_policy_keeps_losing_is_its_error(bench):
    played = bench("--episodes", 2, "--policy-arg", "times=9", policy="losing:Loser")
    errors = [record for record in played.records.values() if record.success is None]
    assert [(e.task_id, e.cause, e.attempts, e.policy_losses) for e in errors] == [(1, "policy", 3, 3)] * 2
    assert {record.cause for record in played.records.values() if record.success is not None} == {""}


@pytest.mark.parametrize(
    "order",
    [{"kind": "scene_check", "phase": "reset"}, {"kind": "kill", "phase": "step"}, {"kind": "raise", "phase": "reset"}],
)
def test_environment_failure_is_the_machines_error(bench, trouble, order):
    played = bench("--episodes", 2, "--assets", trouble({**order, "scene": SCENE, "times": 9}), "--retries", 1)
    assert (played.records[KEY].cause, played.records[KEY].policy_losses) == ("machine", 0)


@pytest.mark.parametrize("how", ["raise", "end_episode"])
def test_policy_that_ends_the_run_keeps_its_losses(bench, tmp_path, how):
    args = ("--policy-arg", f"notes={tmp_path / 'notes'}", "--policy-arg", f"how={how}", "--policy-arg", "times=2")
    first = bench("--episodes", 1, "--workers", 1, *args, policy="losing:Crasher")
    assert first.code == 4
    (key,) = first.run["unfinished"]
    assert first.run["unfinished"][key] == {"attempts": 1, "policy_losses": 1}
    second = bench("--resume", policy="losing:Crasher")
    assert second.run["unfinished"] == {key: {"attempts": 2, "policy_losses": 2}}
    third = bench("--resume", policy="losing:Crasher")
    assert third.code == 0
    assert losses(third) == {key: (3, 2)}
    assert third.run["unfinished"] == {}


def test_losses_survive_a_session_that_does_not_reach_their_episode(bench, tmp_path):
    args = ("--policy-arg", f"notes={tmp_path / 'notes'}")
    first = bench("--episodes", 1, "--workers", 3, *args, policy="losing:Crasher")
    unfinished = first.run["unfinished"]
    assert 1 <= len(unfinished) <= 3
    with Store.open(first.folder) as store:
        store.update_metadata(unfinished={**unfinished, KEY: {"attempts": 4, "policy_losses": 3}})
    (tmp_path / "notes" / "0").unlink()
    again = bench("--resume", "--workers", 1, policy="losing:Crasher")
    assert again.code == 4
    assert again.run["unfinished"][KEY] == {"attempts": 4, "policy_losses": 3}


def test_interrupted_policy_has_lost_its_episodes(bench, tmp_path):
    args = ("--policy-arg", f"notes={tmp_path / 'notes'}", "--policy-arg", "how=interrupt")
    first = bench("--episodes", 1, "--workers", 1, *args, policy="losing:Crasher")
    assert first.code == 130
    assert [*first.run["unfinished"].values()] == [{"attempts": 1, "policy_losses": 1}]


def test_episode_of_a_killed_run_counts_as_begun(bench, tmp_path):
    """The first session is a process of its own, which the policy ends without a word."""
    args = ["--suite", "fakes:toy", "--policy", "losing:Crasher", "--policy-arg", f"notes={tmp_path / 'notes'}"]
    args += ["--policy-arg", "how=exit", "--episodes", "1", "--workers", "1", "--out", tmp_path / "run"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [Path(sys.executable).with_name("nora-bench"), "run", *args]
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 1
    assert read_run(tmp_path / "run").metadata.status == "running"
    again = bench("--resume", policy="losing:Crasher")
    assert [session["status"] for session in again.run["sessions"]] == ["killed", "finished"]
    assert [*losses(again).values()] == [(2, 0)], "nobody knows who killed it, and it was begun twice"
    assert not (again.folder / "begun.jsonl").exists()


def test_losses_are_written_before_the_policys_metrics(bench, tmp_path):
    args = ("--policy-arg", f"notes={tmp_path / 'notes'}", "--policy-arg", "measures=nan")
    first = bench("--episodes", 1, "--workers", 1, *args, policy="losing:Crasher")
    assert first.code == 4
    assert [*first.run["unfinished"].values()] == [{"attempts": 1, "policy_losses": 1}]


def test_attempts_of_earlier_sessions_cost_no_retries(bench, trouble):
    first = bench("--episodes", 2, "--max-steps", 1)
    with Store.open(first.folder) as store:
        store.update_metadata(unfinished={KEY: {"attempts": 7, "policy_losses": 0}})
    lines = (first.folder / "episodes.jsonl").read_text().splitlines(keepends=True)
    (first.folder / "episodes.jsonl").write_text("".join(line for line in lines if KEY not in line))
    (first.folder / "trouble").mkdir()
    again = bench("--resume")
    assert (again.code, again.records[KEY].attempts, again.records[KEY].policy_losses) == (0, 8, 0)

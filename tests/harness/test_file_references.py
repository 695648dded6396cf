"""Runs whose policy or suite stands in a file that is no module."""

import json
import sys
from pathlib import Path

import pytest
from nora_bench.envs.registry import absolute_reference
from nora_bench.harness.cluster.actors import PolicyActor

TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def untouched(monkeypatch):
    """The folders that imports look into are as before after a test."""
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with `my policies/walk.py` and `line.py`."""
    (tmp_path / "my policies").mkdir()
    (tmp_path / "my policies" / "walk.py").write_text("from fakes import Walk\n\nclass Mine(Walk):\n    pass\n")
    (tmp_path / "line.py").write_text("from fakes import ToySuite\n\nline = ToySuite('toy')\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_policy_in_a_file_plays_and_its_record_says_what_was_typed(bench, here):
    typed = "my policies/walk.py:Mine"
    played = bench("--episodes", 1, "--workers", 2, policy=typed)
    assert played.code == 0, played.err
    assert {record.policy for record in played.records.values()} == {typed} == {played.run["policy"]["name"]}
    assert played.run["policy"]["fingerprint"]["class"].startswith("walk_")
    assert played.trajectories == bench("--episodes", 1, out="same").trajectories


def test_a_suite_in_a_file_is_played_by_workers_in_another_folder(bench, here):
    played = bench("--episodes", 1, "--workers", 2, suite="line.py:line")
    assert played.code == 0, played.err
    assert len(played.records) == 3
    assert played.run["config"]["suite"] == ["line.py:line"]


def test_a_run_without_out_is_named_after_the_class(cli, here, monkeypatch):
    monkeypatch.setenv("NORA_BENCH_HOME", str(here / "cache"))
    ended = cli("run", "--suite", "fakes:toy", "--policy", "my policies/walk.py:Mine", "--episodes", 1, "--tasks", 0, "--json")
    assert Path(json.loads(ended.out)["run"]) == Path("runs/toy-mine")


@pytest.mark.parametrize("option", ["--policy", "--suite"])
def test_a_file_that_is_not_there_is_reported_in_one_message(cli, here, option):
    args = {"--suite": "fakes:toy", "--policy": "fakes:Walk", option: "absent.py:Thing"}
    ended = cli("run", *(part for pair in args.items() for part in pair), "--dry-run")
    assert ended.code in (2, 3)
    assert f"file not found: {here / 'absent.py'}" in ended.err
    assert "Traceback" not in ended.err


def test_a_replica_in_another_folder_is_given_the_whole_path(here, monkeypatch):
    reference = absolute_reference("my policies/walk.py:Mine")
    monkeypatch.chdir("/")
    assert PolicyActor(reference, {"chunk": "2"}, 4)._policy_host.policy.chunk_size == 2


@pytest.mark.parametrize("name", ["nora-1.5", "fakes:Walk", "ws://127.0.0.1:8000", "org/model", "checkpoint.safetensors"])
def test_what_has_no_file_stays_as_it_is(name):
    assert absolute_reference(name) == name

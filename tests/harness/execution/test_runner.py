import hashlib
import json

import numpy as np
import pytest
from fakes import start_of
from nora_bench.envs.base import EpisodeSpec


def spec_of(record):
    return EpisodeSpec(record.suite, record.task_id, record.init_state, record.seed, record.protocol)


def test_every_episode_has_its_known_outcome(bench):
    played = bench("--episodes", 8)
    assert played.code == 0
    assert len(played.records) == 24
    assert all(r.success and r.termination == "success" and r.steps == start_of(spec_of(r)) for r in played.records.values())


def test_episode_without_success_ends_with_its_budget(bench):
    (record,) = bench("--tasks", 0, "--episodes", 1, "--max-steps", 7, policy="zero").records.values()
    assert (record.success, record.termination, record.steps) == (False, "budget", 7)


def test_record_describes_its_episode(bench):
    played = bench("--tasks", 1, "--init-states", 3, "--policy-arg", "chunk=4")
    (record,) = played.records.values()
    steps = start_of(spec_of(record))
    assert record.key == "toy/task1/init3/seed0@toy/plain"
    assert (record.task, record.instruction, record.policy) == ("go_home_1", "go home, number 1", "fakes:Walk")
    assert (record.decisions, record.chunk_status) == (-(-steps // 4), {"ok": -(-steps // 4)})
    assert record.assets == {"pack": "toy", "fingerprint": "0123456789abcdef"}
    assert set(record.seconds) == {"reset", "step", "render", "policy", "total"}
    assert np.load(played.folder / record.actions).shape == (steps, 1)


def test_trajectory_hash_follows_from_the_record(bench):
    played = bench("--tasks", 0, "--episodes", 1)
    (record,) = played.records.values()
    positions = start_of(spec_of(record)) + np.cumsum([0, 0, 0, *np.load(played.folder / record.actions)[:, 0]])
    states = np.stack([positions, np.zeros_like(positions)], axis=1).astype("<f8")
    assert record.trajectory_sha256 == hashlib.sha256(states.tobytes()).hexdigest()


def test_run_json_describes_how_the_run_was_made(bench):
    run = bench("--episodes", 2, "--seeds", 3).run
    assert run["status"] == "finished"
    assert run["counts"] == {"planned": 6, "repeated": 12, "done": 6, "errors": 0}
    assert run["protocol"]["name"] == "toy/plain"
    assert run["policy"]["fingerprint"] == {"class": "fakes:Walk"}
    assert {"python", "numpy", "toy", "cpu", "nora-bench"} <= run["versions"].keys()
    assert {"wall_s", "policy_s", "workers_s"} <= run["utilisation"].keys()
    assert run["passed"]["seeds"] == "3"
    assert run["config"]["seeds"] == [0, 1, 2]


def test_seeds_that_repeat_episodes_are_reported_and_omitted(bench):
    played = bench("--episodes", 2, "--seeds", 3)
    assert "12 more episodes would repeat these" in played.out
    assert len(played.records) == 6


def test_policy_with_cameras_receives_images(bench):
    played = bench("--episodes", 1, policy="fakes:Stagger")
    assert played.code == 0
    assert played.run["policy"]["needs"]["cameras"] == ["primary"]


@pytest.mark.parametrize("suite", ["fakes:toy", "fakes:toy_seeded"])
def test_results_do_not_depend_on_workers_order_or_resume(bench, monkeypatch, suite):
    from nora_bench.harness.planning.schedule import Schedule

    args = ("--episodes", 4, "--seeds", 2, "--protocol", "toy/last-step")
    alone = bench(*args, "--workers", 1, out="alone", suite=suite, policy="fakes:Stagger")
    assert len(alone.trajectories) == len(set(alone.trajectories.values())) == 24

    build = Schedule.__init__
    monkeypatch.setattr(Schedule, "__init__", lambda self, specs: build(self, np.random.default_rng(0).permutation(list(specs))))
    shuffled = bench(*args, "--workers", 3, out="shuffled", suite=suite, policy="fakes:Stagger")
    assert list(shuffled.trajectories) != list(alone.trajectories)
    assert shuffled.trajectories == alone.trajectories

    lines = (alone.folder / "episodes.jsonl").read_bytes().splitlines(keepends=True)
    (shuffled.folder / "episodes.jsonl").write_bytes(b"".join(lines[:11]) + lines[11][:100])
    resumed = bench("--resume", "--workers", 2, out="shuffled", suite=suite, policy="fakes:Stagger")
    assert "13 episodes to run (11 are finished)" in resumed.out
    assert resumed.trajectories == alone.trajectories


def test_run_json_as_config_repeats_the_run(bench, cli, tmp_path):
    first = bench("--episodes", 3, "--tasks", "0,2", "--policy-arg", "chunk=3")
    ended = cli("run", "--config", first.folder / "run.json", "--out", tmp_path / "again")
    assert ended.code == 0
    keys = [json.loads(line)["trajectory_sha256"] for line in (tmp_path / "again" / "episodes.jsonl").read_text().splitlines()]
    assert sorted(keys) == sorted(first.trajectories.values())


def test_resuming_a_finished_run_runs_nothing(bench):
    first = bench("--episodes", 1)
    again = bench("--resume")
    assert (again.code, again.trajectories) == (0, first.trajectories)
    assert "0 episodes to run (3 are finished)" in again.out

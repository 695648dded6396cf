"""What goes wrong while a run is under way: workers, policies, disks, users."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import fakes
import psutil
import pytest
from fakes import toy
from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
from nora_bench.harness.execution import worker_process
from nora_bench.harness.execution.local import LocalExecutor
from nora_bench.harness.execution.policy_host import LocalPolicyHost
from nora_bench.harness.execution.recorder import ActiveEpisode
from nora_bench.harness.execution.wire import WireError
from nora_bench.harness.execution.worker_pool import WorkerSlot
from nora_bench.harness.planning.run_settings import WorkerSetup
from nora_bench.harness.planning.schedule import Job
from nora_bench.results.store import writer as store_module
from nora_bench.results.store.reader import read_run
from nora_bench.results.store.writer import Store

SCENE = "toy/task1/init1/seed0"
KEY = f"{SCENE}@toy/plain"


PATIENCE = 2
"""Seconds after which a worker counts as hung: many times what a toy needs on a loaded machine."""


@pytest.fixture
def calm(bench):
    """Trajectories of a run without trouble."""
    return bench("--episodes", 3, out="calm").trajectories


@pytest.mark.parametrize("kind", ["kill", "hang", "raise", "nan", "garbage"])
@pytest.mark.parametrize("phase", ["reset", "step"])
def test_broken_worker_is_replaced_and_its_episode_retried(bench, trouble, calm, kind, phase):
    assets = trouble({"kind": kind, "phase": phase, "scene": SCENE})
    played = bench("--episodes", 3, "--assets", assets, "--workers", 2, "--timeout", PATIENCE)
    assert played.code == 0
    assert played.records[KEY].attempts == 2
    assert played.trajectories == calm
    assert f"{KEY}: {phase}: " in played.out


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("kill", "killed by signal 9 (Killed)"),
        ("hang", f"no answer within {PATIENCE} s"),
        ("raise", "RuntimeError: the toy broke"),
        ("nan", "SimulationError: the simulator's state is not finite"),
        ("garbage", "not a message"),
    ],
)
def test_episode_that_keeps_failing_becomes_an_error_with_its_cause(bench, trouble, calm, kind, says):
    assets = trouble({"kind": kind, "phase": "step", "scene": SCENE, "times": 2})
    played = bench("--episodes", 3, "--assets", assets, "--timeout", PATIENCE, "--retries", 1)
    record = played.records[KEY]
    assert played.code == 1
    assert (record.success, record.termination, record.attempts) == (None, "error", 2)
    assert record.error is not None
    assert record.error.startswith("step: ")
    assert says in record.error
    assert played.run["counts"] == {"planned": 9, "repeated": 0, "done": 9, "errors": 1}
    assert played.trajectories == {**calm, KEY: None}


def test_failed_scene_check_is_an_error_without_retry(bench, trouble):
    assets = trouble({"kind": "scene_check", "phase": "reset", "scene": SCENE, "times": 9})
    played = bench("--episodes", 3, "--assets", assets)
    assert played.code == 1
    assert played.records[KEY].attempts == 1
    assert played.records[KEY].error == "reset: SceneCheckError: the block stands in the wall"


def test_slow_worker_is_kept_within_the_timeout(bench, trouble):
    assets = trouble({"kind": "slow", "phase": "step", "scene": SCENE})
    played = bench("--episodes", 3, "--assets", assets, "--timeout", 5)
    assert played.records[KEY].attempts == 1


def test_slow_policy_causes_no_worker_timeout(bench):
    played = bench(
        "--tasks", 0, "--episodes", 2, "--max-steps", 2, "--timeout", 1, "--policy-arg", "pause=1.2", policy="fakes:Slow"
    )
    assert {record.attempts for record in played.records.values()} == {1}


def test_output_of_an_environment_goes_to_its_log(bench, trouble):
    played = bench("--episodes", 1, "--workers", 1, "--assets", trouble({"kind": "chatter", "phase": "step"}))
    assert played.code == 0
    assert "the toy talks on standard output" in (played.folder / "logs" / "worker-0.log").read_text()


def test_worker_that_starts_at_the_second_attempt_is_used(bench, trouble):
    played = bench("--episodes", 1, "--workers", 1, "--assets", trouble({"kind": "die", "phase": "start", "times": 2}))
    assert played.code == 0
    assert "worker 0 did not start" in played.out


def test_workers_that_never_start_end_the_run_with_their_log(bench, trouble):
    played = bench("--episodes", 1, "--assets", trouble({"kind": "die", "phase": "start", "times": 99}))
    assert played.code == 3
    assert "3 workers in a row did not start" in played.err
    assert "the toy cannot start" in played.err
    assert "nora-bench doctor" in played.err
    assert played.run["status"] == "failed"


@pytest.mark.parametrize("phase", ["start", "reset"])
def test_suite_with_a_missing_requirement_ends_the_run_at_once(bench, trouble, phase):
    played = bench("--episodes", 1, "--assets", trouble({"kind": "missing", "phase": phase, "times": 99}))
    assert played.code == 3
    assert "a texture is missing" in played.err


def test_machine_on_which_every_episode_fails_records_nothing(bench, trouble):
    played = bench("--episodes", 3, "--retries", 0, "--assets", trouble({"kind": "raise", "phase": "reset", "times": 99}))
    assert played.code == 3
    assert "the first 5 episodes all failed to run" in played.err
    assert played.records == {}


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("shape", r"at decision 0 of toy/task\d/init0/seed0@toy/plain: actions must be \[at least 1 step, 1\], not \[1, 3\]"),
        ("empty", "at least 1 step"),
        ("nan", "actions must be finite"),
        ("type", "must return ActionChunk, not ndarray"),
        ("fewer", "returned 0 chunks"),
        ("raise", "raised in act: RuntimeError: out of ideas"),
        ("leave", "raised in act: SystemExit: 0"),
    ],
)
def test_policy_without_a_valid_chunk_stops_the_run(bench, kind, says):
    played = bench("--policy-arg", f"kind={kind}", policy="fakes:Wrong")
    assert played.code == 4
    assert re.search(says, played.err)
    assert f"nora-bench run --resume --out {played.folder}" in played.err
    assert played.run["status"] == "failed"


def test_policys_traceback_is_logged(bench):
    played = bench("--policy-arg", "kind=raise", policy="fakes:Wrong")
    assert 'raise RuntimeError("out of ideas")' in (played.folder / "logs" / "policy.log").read_text()
    assert "Traceback (most recent call last)" not in played.err


def test_episodes_finished_before_a_policy_failure_are_kept(bench):
    played = bench("--workers", 1, policy="fakes:LateWrong")
    assert played.code == 4
    assert played.run["counts"]["done"] == len(played.records) > 0


def test_full_disk_stops_the_run_and_loses_nothing(bench, monkeypatch, calm):
    write = os.write

    def full(descriptor, data):
        if bytes(data).startswith(b'{"version"') and KEY.encode() in bytes(data):
            write(descriptor, bytes(data)[:50])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(store_module.os, "write", full)
        played = bench("--episodes", 3, "--workers", 1)
    assert played.code == 3
    assert "No space left on device" in played.err
    assert 0 < len(played.records) < 9
    assert bench("--resume").trajectories == calm


def test_refused_process_start_is_reported(bench, monkeypatch):
    def refuse(*args, **more):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(worker_process.WorkerProcess, "__init__", refuse)
    played = bench("--episodes", 1)
    assert played.code == 3
    assert f"the operating system refused: [Errno {errno.EAGAIN}] {os.strerror(errno.EAGAIN)}" in played.err
    assert "ulimit -a" in played.err


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"key": KEY, "step": 7}, "of another episode"),
        ({"step": 7}, "of another episode, None"),
        ({"key": f"{SCENE.replace('init1', 'init0')}@toy/plain", "step": 0}, "sent a chunk at step 3 and is now at step 0"),
    ],
)
def test_message_of_another_episode_or_step_is_rejected(message, says):
    spec = EpisodeSpec("toy", 1, 0, 0, "toy/plain")
    slot = WorkerSlot(0, Path("log"), ready=True, active=ActiveEpisode(Job(spec), toy.tasks[1], "go home", decisions=1, step=3))
    setup = WorkerSetup("fakes:toy", EnvOptions("", "none", ""), fakes.protocol(), ObservationSpec())
    executor = LocalExecutor(setup, LocalPolicyHost(fakes.Walk(), Path("log")))
    with pytest.raises(WireError, match=says):
        executor.on_message(slot, {"type": "observation", "observation": {}, **message})


def test_second_run_in_the_folder_is_rejected(bench):
    first = bench("--episodes", 1)
    with Store.open(first.folder):
        again = bench("--resume")
    assert again.code == 2
    assert "is being written by another process" in again.err


def test_folder_with_a_run_is_not_overwritten(bench):
    first = bench("--episodes", 1)
    again = bench("--episodes", 2)
    assert again.code == 2
    assert f"nora-bench run --resume --out {first.folder}" in again.err
    assert again.trajectories == first.trajectories


# A real process, for what only a real process can do


@pytest.fixture
def started(tmp_path):
    """Starts a slow run in a process of its own and waits for its first episodes; gives process and folder."""
    processes = []

    def start(episodes=5):
        folder = tmp_path / "run"
        command = [Path(sys.executable).with_name("nora-bench"), "run", "--suite", "fakes:toy", "--policy", "fakes:Slow"]
        process = subprocess.Popen(
            [*command, "--out", folder, "--episodes", str(episodes), "--workers", "2"],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "NORA_BENCH_HOME": str(tmp_path / "cache")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        wait_for(lambda: (folder / "episodes.jsonl").exists() and (folder / "episodes.jsonl").stat().st_size)
        return process, folder

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_run_keeps_its_episodes_and_prints_the_resume_command(started, number):
    process, folder = started()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, out + err
    assert f"nora-bench run --resume --out {folder}" in err
    assert "Traceback" not in err
    run = read_run(folder)
    assert run.metadata.status == "interrupted"
    assert run.metadata.counts["done"] == len(run.records) > 0


def test_killed_run_ends_its_workers_and_can_be_resumed(started, bench):
    process, folder = started(episodes=2)
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    process.kill()
    process.wait()
    wait_for(lambda: not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers))
    resumed = bench("--resume", policy="fakes:Slow")
    assert resumed.folder == folder
    assert resumed.trajectories == bench("--episodes", 2, out="calm").trajectories


def test_concurrent_run_in_the_folder_is_rejected(started, bench):
    started()
    second = bench("--resume", policy="fakes:Slow")
    assert second.code == 2
    assert "being written by another process" in second.err


def test_run_json_is_valid_during_the_run(started):
    _, folder = started()
    assert json.loads((folder / "run.json").read_text())["status"] == "running"

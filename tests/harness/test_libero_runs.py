"""The same 24 episodes over all four suites, however they are played."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nora_bench.results.store.reader import read_run

pytestmark = [pytest.mark.libero, pytest.mark.slow]

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")

LOOKER = '''
import hashlib
import numpy as np
from nora_bench.envs.base import ObservationSpec
from nora_bench.policies.base import ActionChunk, BasePolicy


class Looker(BasePolicy):
    """Moves by the digest of what it sees: equal trajectories mean equal images, to the pixel."""

    observation_spec = ObservationSpec(cameras=("primary", "wrist"), proprio=True)

    def act_one(self, observation):
        seen = hashlib.sha256()
        for part in (observation.env_observation.images, observation.env_observation.proprio):
            for name in sorted(part):
                seen.update(np.ascontiguousarray(part[name]).tobytes())
        return ActionChunk(np.frombuffer(seen.digest()[:28], np.uint8).reshape(4, 7) / 127.5 - 1.0)
'''


def command(folder: Path, *options: str) -> list[str]:
    start = [sys.executable, "-c", "from nora_bench.harness.cli import main; main()", "run", "--out", str(folder)]
    return [*start, *options]


def plan(suites=SUITES, tasks="0,3", states="0-2") -> list[str]:
    chosen = [option for suite in suites for option in ("--suite", suite)]
    return [*chosen, "--tasks", tasks, "--init-states", states, "--policy", "looker:Looker", "--max-steps", "10"]


def results(folder: Path) -> dict[str, str | None]:
    return {record.key: record.trajectory_sha256 for record in read_run(folder).records}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    (folder / "looker.py").write_text(LOOKER)
    return folder


@pytest.fixture(scope="module")
def quiet(home):
    """What one worker makes of them."""
    subprocess.run(command(home / "one", *plan(), "--workers", "1"), cwd=home, check=True)
    found = results(home / "one")
    assert len(found) == 24
    assert None not in found.values()
    return found


def test_three_workers_in_another_order_give_the_same_trajectories_and_images(home, quiet):
    options = plan(tuple(reversed(SUITES)), tasks="3,0", states="2,0,1")
    subprocess.run(command(home / "three", *options, "--workers", "3"), cwd=home, check=True)
    assert results(home / "three") == quiet


def test_killed_and_resumed_run_gives_the_same_trajectories_and_images(home, quiet):
    folder = home / "killed"
    run = subprocess.Popen(command(folder, *plan(), "--workers", "2"), cwd=home)
    episodes, deadline = folder / "episodes.jsonl", time.monotonic() + 300
    while not (episodes.is_file() and episodes.read_bytes().count(b"\n") >= 10):
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    before = results(folder)
    assert 10 <= len(before) < 24
    subprocess.run(command(folder, "--resume"), cwd=home, check=True)
    assert results(folder) == quiet


def test_perturbed_episodes_are_the_same_with_one_and_with_two_workers(home):
    options = [*plan(("libero_goal",), tasks="3", states="0-1"), "--perturb", "camera:2,layout:2,distractors:1"]
    for workers in "12":
        subprocess.run(command(home / f"perturbed{workers}", *options, "--workers", workers), cwd=home, check=True)
    found = results(home / "perturbed1")
    assert len(found) == len(set(found.values())) == 8
    assert results(home / "perturbed2") == found

"""A short load test: sixteen environments, some of whose episodes break once."""

import re
import subprocess
import sys

import numpy as np
import pytest
from nora_bench.envs.base import EpisodeSpec

from faults.load import BREAKS

EPISODES = 60


@pytest.fixture(scope="module")
def measured(repository):
    """Name -> number, as printed."""
    command = [sys.executable, "-m", "tests.faults.load", "--envs", "16", "--episodes", str(EPISODES)]
    out = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout
    return {name: float(value.replace(",", "")) for name, value in re.findall(r"^\| (.+) \| ([\d.,]+) \|$", out, re.MULTILINE)}


def breaking():
    """Episodes that break once, as their keys say."""
    specs = (EpisodeSpec("toy", 0, state, 0, "toy/plain") for state in range(EPISODES))
    return sum(np.random.default_rng(spec.entropy("delays")).uniform() < BREAKS for spec in specs)


def test_every_episode_finishes_under_load(measured):
    assert (measured["episodes"], measured["errors"]) == (EPISODES, 0)


def test_broken_episodes_are_retried_under_load(measured):
    assert measured["episodes that broke"] == measured["retried"] == breaking() > 0


def test_no_worker_starves_under_load(measured):
    assert measured["processes left"] == 0

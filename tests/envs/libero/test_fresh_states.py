"""Fresh initial states: the frozen table, LIBERO's unused rows, and states in the simulator."""

import hashlib
import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from nora_bench.envs import suites
from nora_bench.envs.base import EpisodeSpec, ObservationSpec
from nora_bench.envs.errors import SuiteError
from nora_bench.envs.libero.fresh_states import FreshStates, digest, fresh_states_of, unused_rows
from nora_bench.envs.libero.init_states import load_init_states

TEN = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
FROZEN = "66520eecedb0f1b9"
"""First digits of the SHA-256 of the table: changing a fresh state would change results under equal keys."""


def fresh(suite="libero_goal", task=3, number=5, seed=0):
    return EpisodeSpec(suite, task, number, seed, "libero/openvla", init_set="fresh")


def test_table_is_frozen():
    text = files("nora_bench.envs.libero").joinpath("fresh_states.json").read_text(encoding="utf-8")
    assert hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode()).hexdigest()[:16] == FROZEN


def test_sampled_suites_have_100_states_per_task_and_stored_ones_what_libero_ships():
    counts = {suite: [task.fresh_states for task in suites.get(suite).tasks] for suite in TEN}
    assert set(counts["libero_object"] + counts["libero_goal"]) == {100}
    assert counts["libero_spatial"] == [31, 50, 41, 50, 50, 50, 50, 50, 41, 50]
    assert sum(counts["libero_10"]) == 497
    assert sum(task.fresh_states for task in suites.get("libero_90").tasks) == 4389


def test_every_state_is_there_once():
    for suite in (*TEN, "libero_90"):
        for task in suites.get(suite).tasks:
            states = fresh_states_of(suite, task.id)
            assert len(set(states.digests)) == len(states.rows) == task.fresh_states


def test_other_state_than_the_frozen_one_is_rejected():
    row = np.zeros(79)
    states = FreshStates("sampled", (0,), (digest(row),))
    states.require("libero_goal task 3", 0, row)
    with pytest.raises(SuiteError, match="fresh initial state 0 of libero_goal task 3"):
        states.require("libero_goal task 3", 0, row + 1e-12)


@pytest.fixture(scope="module")
def shipped() -> Path:
    pytest.importorskip("libero")
    from nora_bench.envs.libero.sim.install import libero_root

    return libero_root() / "init_files"


def rows_behind(shipped, suite):
    """Task id -> unused rows of a suite."""
    out = {}
    for task in suites.get(suite).tasks:
        length = _length(shipped / suite / f"{task.name}.pruned_init")
        out[task.id] = unused_rows(shipped / suite, task.name, length)
    return out


def _length(path):
    return next(size for size in range(40, 130) if _fits(path, size))


def _fits(path, size):
    try:
        load_init_states(path, size)
    except SuiteError:
        return False
    return True


@pytest.mark.libero
def test_977_rows_of_spatial_and_long_lie_behind_the_published_ones(shipped):
    behind = {suite: rows_behind(shipped, suite) for suite in ("libero_spatial", "libero_10")}
    assert sum(len(rows) for tasks in behind.values() for rows in tasks.values()) == 977
    for suite, tasks in behind.items():
        for task, rows in tasks.items():
            states = fresh_states_of(suite, task)
            assert [digest(rows[row]) for row in states.rows] == list(states.digests)


@pytest.mark.libero
def test_goal_has_no_unused_rows(shipped):
    assert not any(rows_behind(shipped, "libero_goal").values())


@pytest.mark.libero
@pytest.mark.parametrize("suite", ["libero_goal", "libero_spatial"])
def test_fresh_state_depends_on_its_key_alone(env, protocol, suite):
    first = env.reset(fresh(suite), protocol, ObservationSpec()).states
    env.reset(fresh(suite, number=6, seed=3), protocol, ObservationSpec())
    again = env.reset(fresh(suite), protocol, ObservationSpec()).states
    published = env.reset(EpisodeSpec(suite, 3, 5, 0, "libero/openvla"), protocol, ObservationSpec()).states
    assert np.array_equal(first, again)
    assert not np.array_equal(first[0], published[0])
    assert digest(first[0]) == fresh_states_of(suite, 3).digests[5]


@pytest.mark.libero
def test_seed_changes_fixtures_and_not_the_state(env, protocol):
    one, two = (env.reset(fresh(seed=seed), protocol, ObservationSpec()) for seed in (0, 1))
    assert np.array_equal(one.states[0], two.states[0])
    assert one.fixtures != two.fixtures


@pytest.mark.libero
def test_index_beyond_the_fresh_states_is_rejected_with_their_number(env, protocol):
    with pytest.raises(SuiteError, match="has 100 fresh initial states"):
        env.reset(fresh(number=100), protocol, ObservationSpec())

import hashlib
import json

import numpy as np
import pytest
from fakes import ToyWorld, protocol, start_of
from nora_bench.envs.base import EpisodeSpec, ObservationSpec, SimulationError
from nora_bench.harness.execution.rollout import DecisionPoint, EpisodeOutcome, Rollout
from nora_bench.policies.base import ActionChunk

SPEC = EpisodeSpec("toy", 0, 0, 0, "toy/plain")
START = start_of(SPEC)
BUDGET = START + 10


def begin(budget=BUDGET, env=None, **changes):
    """An episode at its first decision. The toy succeeds where it stands at zero, START steps of -1 away."""
    rollout = Rollout(env or ToyWorld(), SPEC, protocol(**changes), ObservationSpec(), budget)
    rollout.start()
    return rollout


def chunk(*actions):
    return ActionChunk(np.array(actions, dtype=float).reshape(-1, 1))


def down(steps):
    return chunk(*[-1.0] * steps)


def test_any_step_ends_the_episode_inside_a_chunk():
    done = begin(success="any_step").execute(down(START + 3))
    assert isinstance(done, EpisodeOutcome)
    assert (done.success, done.success_any, done.steps) == (True, True, START)


def test_chunk_end_overlooks_success_inside_a_chunk():
    event = begin(success="chunk_end").execute(down(START + 1))
    assert isinstance(event, DecisionPoint)


def test_chunk_end_sees_success_at_the_end_of_a_chunk():
    done = begin(success="chunk_end").execute(down(START))
    assert (done.success, done.steps) == (True, START)


def test_chunk_end_counts_the_end_of_a_chunk_that_the_budget_cuts():
    done = begin(success="chunk_end", budget=START).execute(down(START + 5))
    assert (done.success, done.steps) == (True, START)


def test_chunk_end_remembers_that_the_goal_once_held():
    done = begin(success="chunk_end").execute(down(BUDGET))
    assert (done.success, done.success_any, done.steps) == (False, True, BUDGET)


def test_last_step_plays_on_and_looks_at_the_end_only():
    done = begin(success="last_step").execute(chunk(*[-1.0] * START, *[0.0] * 10))
    assert (done.success, done.steps) == (True, BUDGET)
    lost = begin(success="last_step").execute(down(BUDGET))
    assert (lost.success, lost.success_any) == (False, True)


def test_the_budget_ends_an_episode():
    rollout = begin(budget=5)
    assert rollout.execute(chunk(0, 0, 0)).step == 3
    done = rollout.execute(chunk(0, 0, 0))
    assert (done.success, done.success_any, done.steps) == (False, False, 5)


def test_replan_cuts_chunks():
    assert begin(replan_steps=2).execute(down(5)).step == 2


def test_it_looks_only_where_a_decision_follows():
    env = ToyWorld()
    rollout = begin(budget=5, env=env)
    rollout.execute(chunk(0, 0, 0))
    rollout.execute(chunk(0, 0, 0))
    assert env.looks == [False, False, True, False, False]


def test_the_actions_are_kept_as_executed():
    done = begin(budget=3).execute(chunk(0.1, 0.2, 0.3, 0.4))
    np.testing.assert_array_equal(done.actions, [[0.1], [0.2], [0.3]])
    assert done.actions.dtype == np.float64


def test_the_trajectory_is_hashed_from_the_first_state_to_the_last():
    done = begin(budget=2).execute(chunk(0.5, 0.25))
    states = [START, START, START, START + 0.5, START + 0.75]
    expected = np.array([[position, 0.0] for position in states], dtype="<f8").tobytes()
    assert done.trajectory_sha256 == hashlib.sha256(expected).hexdigest()


def test_times_are_told_apart():
    assert set(begin(budget=1).execute(chunk(0)).seconds) == {"reset", "step", "render"}


def test_a_state_that_is_not_finite_is_the_worlds_fault(tmp_path):
    from nora_bench.envs.base import EnvOptions

    (tmp_path / "trouble.json").write_text(json.dumps([{"kind": "nan", "phase": "step"}]))
    with pytest.raises(SimulationError, match="not finite after control step 1"):
        begin(env=ToyWorld(EnvOptions(str(tmp_path), "none", ""))).execute(chunk(0))

import hashlib
import json

import numpy as np
import pytest
from fakes import ToyEnv, protocol, start_of
from nora_bench.envs.base import EpisodeSpec, ObservationSpec, SimulationError
from nora_bench.envs.errors import PolicyError
from nora_bench.harness.execution.rollout import Done, Episode, Look
from nora_bench.policies.base import ActionChunk

SPEC = EpisodeSpec("toy", 0, 0, 0, "toy/plain")
START = start_of(SPEC)
BUDGET = START + 10


def begin(budget=BUDGET, world=None, **changes):
    """An episode at its first decision. The toy succeeds where it stands at zero, START steps of -1 away."""
    episode = Episode(world or ToyEnv(), SPEC, protocol(**changes), ObservationSpec(), budget)
    episode.start()
    return episode


def chunk(*actions):
    return ActionChunk(np.array(actions, dtype=float).reshape(-1, 1))


def down(steps):
    return chunk(*[-1.0] * steps)


def test_any_step_ends_the_episode_inside_a_chunk():
    done = begin(success="any_step").play(down(START + 3))
    assert isinstance(done, Done)
    assert (done.success, done.success_any, done.steps) == (True, True, START)


def test_chunk_end_overlooks_success_inside_a_chunk():
    event = begin(success="chunk_end").play(down(START + 1))
    assert isinstance(event, Look)


def test_chunk_end_sees_success_at_the_end_of_a_chunk():
    done = begin(success="chunk_end").play(down(START))
    assert (done.success, done.steps) == (True, START)


def test_chunk_end_counts_the_end_of_a_chunk_that_the_budget_cuts():
    done = begin(success="chunk_end", budget=START).play(down(START + 5))
    assert (done.success, done.steps) == (True, START)


def test_chunk_end_remembers_that_the_goal_once_held():
    done = begin(success="chunk_end").play(down(BUDGET))
    assert (done.success, done.success_any, done.steps) == (False, True, BUDGET)


def test_last_step_plays_on_and_looks_at_the_end_only():
    done = begin(success="last_step").play(chunk(*[-1.0] * START, *[0.0] * 10))
    assert (done.success, done.steps) == (True, BUDGET)
    lost = begin(success="last_step").play(down(BUDGET))
    assert (lost.success, lost.success_any) == (False, True)


def test_the_budget_ends_an_episode():
    episode = begin(budget=5)
    assert episode.play(chunk(0, 0, 0)).step == 3
    done = episode.play(chunk(0, 0, 0))
    assert (done.success, done.success_any, done.steps) == (False, False, 5)


def test_replan_cuts_chunks():
    assert begin(replan_steps=2).play(down(5)).step == 2


def test_it_looks_only_where_a_decision_follows():
    world = ToyEnv()
    episode = begin(budget=5, world=world)
    episode.play(chunk(0, 0, 0))
    episode.play(chunk(0, 0, 0))
    assert world.looks == [False, False, True, False, False]


def test_the_actions_are_kept_as_executed():
    done = begin(budget=3).play(chunk(0.1, 0.2, 0.3, 0.4))
    np.testing.assert_array_equal(done.actions, [[0.1], [0.2], [0.3]])
    assert done.actions.dtype == np.float64


def test_the_trajectory_is_hashed_from_the_first_state_to_the_last():
    done = begin(budget=2).play(chunk(0.5, 0.25))
    states = [START, START, START, START + 0.5, START + 0.75]
    expected = np.array([[position, 0.0] for position in states], dtype="<f8").tobytes()
    assert done.trajectory_sha256 == hashlib.sha256(expected).hexdigest()


def test_times_are_told_apart():
    assert set(begin(budget=1).play(chunk(0)).seconds) == {"reset", "step", "render"}


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        (np.zeros((1, 3)), r"\[at least 1 step, 1\], not \[1, 3\]"),
        (np.zeros((0, 1)), "at least 1 step"),
        (np.zeros(1), "at least 1 step"),
        (np.full((1, 1), np.nan), "finite"),
        (np.zeros((1, 1), dtype=object), "float64"),
    ],
)
def test_what_is_no_chunk_is_refused_before_anything_moves(actions, says):
    world = ToyEnv()
    episode = begin(world=world)
    with pytest.raises(PolicyError, match=says):
        episode.play(ActionChunk(actions))
    assert world.looks == []


def test_a_state_that_is_not_finite_is_the_worlds_fault(tmp_path):
    from nora_bench.envs.base import EnvOptions

    (tmp_path / "trouble.json").write_text(json.dumps([{"kind": "nan", "phase": "step"}]))
    with pytest.raises(SimulationError, match="not finite after control step 1"):
        begin(world=ToyEnv(EnvOptions(str(tmp_path), "none", ""))).play(chunk(0))

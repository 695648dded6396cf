import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from fakes import ToyEnv, protocol, start_of
from nora_bench.envs.base import EpisodeSpec, ObservationSpec, SimulationError
from nora_bench.harness.execution.rollout import DecisionPoint, EpisodeOutcome, Rollout
from nora_bench.policies.base import ActionChunk

SPEC = EpisodeSpec("toy", 0, 0, 0, "toy/plain")
START = start_of(SPEC)
BUDGET = START + 10


def begin(budget=BUDGET, env=None, **changes):
    """An episode at its first decision. The toy succeeds where it stands at zero, START steps of -1 away."""
    rollout = Rollout(env or ToyEnv(), SPEC, protocol(**changes), ObservationSpec(), budget)
    rollout.start()
    return rollout


def chunk(*actions):
    return ActionChunk(np.array(actions, dtype=float).reshape(-1, 1))


def down(steps):
    return chunk(*[-1.0] * steps)


def test_any_step_rule_ends_the_episode_inside_a_chunk():
    done = begin(success="any_step").execute(down(START + 3))
    assert isinstance(done, EpisodeOutcome)
    assert (done.success, done.success_any, done.steps) == (True, True, START)


def test_chunk_end_rule_ignores_success_inside_a_chunk():
    event = begin(success="chunk_end").execute(down(START + 1))
    assert isinstance(event, DecisionPoint)


def test_chunk_end_rule_counts_success_at_the_end_of_a_chunk():
    done = begin(success="chunk_end").execute(down(START))
    assert (done.success, done.steps) == (True, START)


def test_chunk_end_rule_counts_the_end_of_a_chunk_cut_by_the_budget():
    done = begin(success="chunk_end", budget=START).execute(down(START + 5))
    assert (done.success, done.steps) == (True, START)


def test_success_any_records_a_goal_that_held_once():
    done = begin(success="chunk_end").execute(down(BUDGET))
    assert (done.success, done.success_any, done.steps) == (False, True, BUDGET)


def test_last_step_rule_counts_success_at_the_end_only():
    done = begin(success="last_step").execute(chunk(*[-1.0] * START, *[0.0] * 10))
    assert (done.success, done.steps) == (True, BUDGET)
    lost = begin(success="last_step").execute(down(BUDGET))
    assert (lost.success, lost.success_any) == (False, True)


def test_budget_ends_an_episode():
    rollout = begin(budget=5)
    assert rollout.execute(chunk(0, 0, 0)).step == 3
    done = rollout.execute(chunk(0, 0, 0))
    assert (done.success, done.success_any, done.steps) == (False, False, 5)


def test_replan_cuts_chunks():
    assert begin(replan_steps=2).execute(down(5)).step == 2


def test_env_renders_only_before_a_decision():
    env = ToyEnv()
    rollout = begin(budget=5, env=env)
    rollout.execute(chunk(0, 0, 0))
    rollout.execute(chunk(0, 0, 0))
    assert env.looks == [False, False, True, False, False]


def test_outcome_has_the_executed_actions():
    done = begin(budget=3).execute(chunk(0.1, 0.2, 0.3, 0.4))
    np.testing.assert_array_equal(done.actions, [[0.1], [0.2], [0.3]])
    assert done.actions.dtype == np.float64


def test_trajectory_hash_covers_first_to_last_state():
    done = begin(budget=2).execute(chunk(0.5, 0.25))
    states = [START, START, START, START + 0.5, START + 0.75]
    expected = np.array([[position, 0.0] for position in states], dtype="<f8").tobytes()
    assert done.trajectory_sha256 == hashlib.sha256(expected).hexdigest()


def test_outcome_distinguishes_reset_step_and_render_time():
    assert set(begin(budget=1).execute(chunk(0)).seconds) == {"reset", "step", "render"}


def test_state_that_is_not_finite_is_a_simulation_error(tmp_path):
    from nora_bench.envs.base import EnvOptions

    (tmp_path / "trouble.json").write_text(json.dumps([{"kind": "nan", "phase": "step"}]))
    with pytest.raises(SimulationError, match="not finite after control step 1"):
        begin(env=ToyEnv(EnvOptions(str(tmp_path), "none", ""))).execute(chunk(0))


def images_of(perturbation):
    """Images of each decision, one control step apart."""
    spec, cameras = replace(SPEC, perturbation=perturbation), ObservationSpec(cameras=("primary",))
    rollout = Rollout(ToyEnv(), spec, protocol(), cameras, budget=4)
    event, seen = rollout.start(), []
    while isinstance(event, DecisionPoint):
        seen.append(event.env_observation.images["primary"])
        event = rollout.execute(chunk(0))
    return seen, event


def test_image_defects_reach_every_decision_and_leave_the_states():
    plain, control = images_of("")
    noisy, perturbed = images_of("noise-gaussian-3")
    assert [(a != b).any() for a, b in zip(plain, noisy, strict=True)] == [True] * 4
    assert perturbed.trajectory_sha256 == control.trajectory_sha256

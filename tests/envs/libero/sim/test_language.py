"""Instructions change nothing of LIBERO's physics; another task's goal is scored beside the episode's own."""

from dataclasses import replace

import numpy as np
import pytest
from nora_bench.envs.base import EpisodeSpec, ObservationSpec
from nora_bench.envs.libero import other_goals as table
from nora_bench.envs.libero.goal import Goal
from nora_bench.envs.libero.other_goals import other_goals
from nora_bench.envs.perturbations import axes, language
from nora_bench.harness.replay.replay import run_actions

pytestmark = pytest.mark.libero

CONTROL = EpisodeSpec("libero_goal", 1, 5, 0, "libero/openvla")
BLIND = ObservationSpec()
REST = np.array([0.0] * 6 + [-1.0])


def perturbed(level, spec=CONTROL):
    return replace(spec, perturbation=f"language-{level}")


def asked_state(task):
    """An initial state of `CONTROL`'s task in which the wrong instruction is that task's."""
    goals = other_goals("libero_goal", 1)
    states = (replace(CONTROL, init_state=state) for state in range(50))
    return next(spec for spec in states if language.pick(spec, language.WRONG, goals).task_id == task)


def test_actions_of_the_control_give_its_states_with_every_instruction(env, protocol):
    rng = np.random.default_rng(0)
    actions = np.column_stack([rng.uniform(-0.6, 0.6, (20, 6)), np.where(np.arange(20) > 9, 1.0, -1.0)])
    control = run_actions(env, CONTROL, protocol, BLIND, actions)
    assert control.measures == {}
    for level in axes.axes()["language"].levels:
        done = run_actions(env, perturbed(level), protocol, BLIND, actions)
        assert done.trajectory_sha256 == control.trajectory_sha256
        assert done.measures == ({"asked_goal": False, "original_goal": False} if level == "wrong" else {})


def test_goal_that_is_asked_for_is_scored(env, protocol):
    spec = perturbed("wrong", asked_state(task=7))
    env.reset(spec, protocol, BLIND)
    env.step(REST, observe=False)
    assert env.measures() == {"asked_goal": False, "original_goal": False}
    scene = env._scene
    scene.data.qpos[scene.model.joint("flat_stove_1_button").qposadr[0]] = 1.5
    assert not env.step(REST, observe=False)
    assert env.measures() == {"asked_goal": True, "original_goal": False}
    env.reset(spec, protocol, BLIND)
    assert env.measures() == {"asked_goal": False, "original_goal": False}


@pytest.mark.parametrize(("suite", "task"), [("libero_goal", 1), ("libero_spatial", 0), ("libero_10", 3)])
def test_goals_of_other_tasks_exist_in_the_scene_and_do_not_hold_at_its_start(env, protocol, suite, task):
    env.reset(replace(CONTROL, suite=suite, task_id=task), protocol, BLIND)
    scene = env._scene
    goals = [Goal(scene.inner, scene.model, scene.data, other.goal) for other in other_goals(suite, task)]
    assert goals
    assert not any(goal.holds() for goal in goals)


def test_table_of_other_goals_is_that_of_the_task_files():
    from importlib.resources import files

    from nora_bench.envs.libero.sim.freeze_other_goals import table as made

    assert files(table.__name__.rpartition(".")[0]).joinpath("other_goals.json").read_text(encoding="utf-8") == made()

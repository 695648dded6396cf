"""An episode is a pure function of its spec; nothing of the episode before is left."""

import hashlib

import numpy as np
import pytest
from nora_bench.envs.base import EpisodeSpec, ObservationSpec, SceneCheckError, SimulationError
from nora_bench.envs.errors import SuiteError

pytestmark = pytest.mark.libero

SEES = ObservationSpec(cameras=("primary", "wrist"), proprio=True)
BLIND = ObservationSpec()


def spec(suite="libero_goal", task=3, init=5, seed=0):
    return EpisodeSpec(suite, task, init, seed, "libero/openvla")


def moves(steps, seed=0):
    rng = np.random.default_rng(seed)
    return [np.append(rng.uniform(-0.6, 0.6, 6), 1.0 if step % 20 > 9 else -1.0) for step in range(steps)]


def rollout(env, spec, protocol, observation_spec=BLIND, steps=30, observe_every=5):
    """Digest of all states, and of what was seen."""
    states = hashlib.sha256(env.reset(spec, protocol, observation_spec).states.tobytes())
    seen = hashlib.sha256()
    for step, action in enumerate(moves(steps)):
        look = step % observe_every == observe_every - 1
        env.step(action, observe=look)
        states.update(env.state().tobytes())
        if look:
            view = env.observation()
            for name in sorted({**view.images, **view.proprio}):
                seen.update({**view.images, **view.proprio}[name].tobytes())
    return states.hexdigest(), seen.hexdigest()


@pytest.mark.parametrize(("suite", "task"), [("libero_goal", 3), ("libero_object", 0), ("libero_spatial", 4), ("libero_10", 3)])
def test_episode_is_independent_of_earlier_episodes(env, protocol, suite, task):
    alone = rollout(env, spec(suite, task), protocol, SEES, steps=15)
    rollout(env, spec(suite, task, init=9, seed=3), protocol, SEES, steps=13)
    assert rollout(env, spec(suite, task), protocol, SEES, steps=15) == alone


def test_rebuilt_task_gives_the_same_episode(env, protocol):
    first = rollout(env, spec(), protocol, SEES, steps=15)
    rollout(env, spec("libero_object", 2), protocol, SEES, steps=5)
    assert rollout(env, spec(), protocol, SEES, steps=15) == first


def test_observing_changes_no_state(env, protocol):
    assert rollout(env, spec(), protocol, SEES)[0] == rollout(env, spec(), protocol, BLIND)[0]
    assert (
        rollout(env, spec(), protocol, ObservationSpec(privileged=True), observe_every=1)[0]
        == rollout(env, spec(), protocol, BLIND)[0]
    )


def test_images_are_independent_of_how_often_they_are_rendered(env, protocol):
    def last_image(observe_every):
        env.reset(spec(), protocol, SEES)
        for step, action in enumerate(moves(12)):
            env.step(action, observe=step == 11 or step % observe_every == 0)
        return env.observation().images

    often, rarely = last_image(1), last_image(7)
    assert all(np.array_equal(often[camera], rarely[camera]) for camera in often)


def test_seed_moves_the_fixtures_of_a_task(env, protocol):
    one, two = (env.reset(spec(seed=seed), protocol, BLIND).fixtures for seed in (0, 1))
    assert one["wooden_cabinet_1"] != two["wooden_cabinet_1"]


def test_seed_changes_nothing_without_fixtures(env, protocol):
    one, two = (env.reset(spec("libero_object", 0, seed=seed), protocol, BLIND) for seed in (0, 1))
    assert one.states.tobytes() == two.states.tobytes()


def test_reset_keeps_the_global_generator(env, protocol):
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    env.reset(spec(), protocol, BLIND)
    assert np.array_equal(np.random.get_state()[1], before)


def test_images_are_rotated_as_the_protocol_requires(env, protocol):
    import dataclasses

    env.reset(spec(), protocol, SEES)
    turned = env.observation().images["primary"]
    env.reset(spec(), dataclasses.replace(protocol, rotate_180=False), SEES)
    assert np.array_equal(env.observation().images["primary"][::-1, ::-1], turned)


def test_unstable_simulation_raises_an_error(env, protocol):
    env.reset(spec(), protocol, BLIND)
    env._scene.data.qvel[10] = 1e7
    with pytest.raises(SimulationError, match="unstable"):
        env.step(np.zeros(7), observe=False)


@pytest.mark.parametrize(("bad", "complaint"), [(spec(init=50), "50 initial states"), (spec(task=10), "tasks 0-9")])
def test_unknown_task_or_initial_state_is_rejected(env, protocol, bad, complaint):
    with pytest.raises(SuiteError, match=complaint):
        env.reset(bad, protocol, BLIND)


def test_task_that_settles_differently_is_rejected(env, protocol, monkeypatch):
    from nora_bench.envs.libero.sim import scene_checks

    usual = scene_checks.scene_check_of("libero_spatial", 5)
    rise, moved, turn = usual.objects["akita_black_bowl_1"]
    perched = scene_checks.SceneCheck(usual.state, {**usual.objects, "akita_black_bowl_1": (rise, moved - 8.4, turn - 5.4)})
    monkeypatch.setattr(scene_checks, "scene_check_of", lambda suite, task: perched)
    with pytest.raises(SceneCheckError, match="akita_black_bowl_1 moved"):
        env.reset(spec("libero_spatial", 5), protocol, BLIND)


def test_push_moves_the_end_effector_about_five_centimetres_in_its_own_direction(env, protocol):
    from nora_bench.envs import protocols

    def hand(protocol, init):
        env.reset(spec("libero_object", 0, init=init), protocol, ObservationSpec(proprio=True))
        return env.observation().proprio["eef_pos"]

    pushed = protocols.get("libero/pushed")
    moves = [hand(pushed, init) - hand(protocol, init) for init in range(4)]
    assert all(0.03 < np.linalg.norm(move) < 0.07 for move in moves)
    assert np.linalg.norm(moves[0] - moves[1]) > 0.01


def test_building_a_task_frees_the_last_one(env, protocol):
    import gc

    from libero.libero.envs.bddl_base_domain import BDDLBaseDomain

    before = None
    for task in (1, 2, 4):
        env.reset(spec("libero_object", task), protocol, BLIND)
        alive = sum(isinstance(thing, BDDLBaseDomain) for thing in gc.get_objects())
        assert before in (None, alive)
        before = alive

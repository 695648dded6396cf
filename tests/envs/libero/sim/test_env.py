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


def play(world, spec, protocol, observation_spec=BLIND, steps=30, look_every=5):
    """Digest of all states, and of what was seen."""
    states = hashlib.sha256(world.reset(spec, protocol, observation_spec).states.tobytes())
    seen = hashlib.sha256()
    for step, action in enumerate(moves(steps)):
        look = step % look_every == look_every - 1
        world.step(action, observe=look)
        states.update(world.state().tobytes())
        if look:
            view = world.observation()
            for name in sorted({**view.images, **view.proprio}):
                seen.update({**view.images, **view.proprio}[name].tobytes())
    return states.hexdigest(), seen.hexdigest()


@pytest.mark.parametrize(("suite", "task"), [("libero_goal", 3), ("libero_object", 0), ("libero_spatial", 4), ("libero_10", 3)])
def test_an_episode_does_not_depend_on_the_ones_before(world, protocol, suite, task):
    alone = play(world, spec(suite, task), protocol, SEES, steps=15)
    play(world, spec(suite, task, init=9, seed=3), protocol, SEES, steps=13)
    assert play(world, spec(suite, task), protocol, SEES, steps=15) == alone


def test_a_task_rebuilt_after_another_plays_the_same(world, protocol):
    first = play(world, spec(), protocol, SEES, steps=15)
    play(world, spec("libero_object", 2), protocol, SEES, steps=5)
    assert play(world, spec(), protocol, SEES, steps=15) == first


def test_looking_changes_no_state(world, protocol):
    assert play(world, spec(), protocol, SEES)[0] == play(world, spec(), protocol, BLIND)[0]
    assert (
        play(world, spec(), protocol, ObservationSpec(privileged=True), look_every=1)[0]
        == play(world, spec(), protocol, BLIND)[0]
    )


def test_pictures_do_not_depend_on_how_often_one_looks(world, protocol):
    def last_picture(look_every):
        world.reset(spec(), protocol, SEES)
        for step, action in enumerate(moves(12)):
            world.step(action, observe=step == 11 or step % look_every == 0)
        return world.observation().images

    often, rarely = last_picture(1), last_picture(7)
    assert all(np.array_equal(often[camera], rarely[camera]) for camera in often)


def test_a_seed_moves_the_fixtures_where_the_task_has_some(world, protocol):
    one, two = (world.reset(spec(seed=seed), protocol, BLIND).fixtures for seed in (0, 1))
    assert one["wooden_cabinet_1"] != two["wooden_cabinet_1"]


def test_a_seed_changes_nothing_in_a_task_without_fixtures(world, protocol):
    one, two = (world.reset(spec("libero_object", 0, seed=seed), protocol, BLIND) for seed in (0, 1))
    assert one.states.tobytes() == two.states.tobytes()


def test_the_global_generator_is_left_alone(world, protocol):
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    world.reset(spec(), protocol, BLIND)
    assert np.array_equal(np.random.get_state()[1], before)


def test_pictures_are_turned_as_the_protocol_says(world, protocol):
    import dataclasses

    world.reset(spec(), protocol, SEES)
    turned = world.observation().images["primary"]
    world.reset(spec(), dataclasses.replace(protocol, rotate_180=False), SEES)
    assert np.array_equal(world.observation().images["primary"][::-1, ::-1], turned)


def test_an_exploding_simulation_is_an_error_and_not_a_failed_episode(world, protocol):
    world.reset(spec(), protocol, BLIND)
    world._scene.data.qvel[10] = 1e7
    with pytest.raises(SimulationError, match="unstable"):
        world.step(np.zeros(7), observe=False)


@pytest.mark.parametrize(("bad", "complaint"), [(spec(init=50), "initial states 0-49"), (spec(task=10), "tasks 0-9")])
def test_what_does_not_exist_is_named(world, protocol, bad, complaint):
    with pytest.raises(SuiteError, match=complaint):
        world.reset(bad, protocol, BLIND)


def test_a_bowl_that_sits_otherwise_than_in_the_reference_is_not_scored(world, protocol, monkeypatch):
    from nora_bench.envs.libero.sim import scene_checks

    usual = scene_checks.scene_check_of("libero_spatial", 5)
    rise, moved, turn = usual.objects["akita_black_bowl_1"]
    perched = scene_checks.SceneCheck(usual.state, {**usual.objects, "akita_black_bowl_1": (rise, moved - 8.4, turn - 5.4)})
    monkeypatch.setattr(scene_checks, "scene_check_of", lambda suite, task: perched)
    with pytest.raises(SceneCheckError, match="akita_black_bowl_1 moved"):
        world.reset(spec("libero_spatial", 5), protocol, BLIND)


def test_a_pushed_hand_starts_about_five_centimetres_away_in_a_direction_of_its_own(world, protocol):
    from nora_bench.envs import protocols

    def hand(protocol, init):
        world.reset(spec("libero_object", 0, init=init), protocol, ObservationSpec(proprio=True))
        return world.observation().proprio["eef_pos"]

    pushed = protocols.get("libero/pushed")
    moves = [hand(pushed, init) - hand(protocol, init) for init in range(4)]
    assert all(0.03 < np.linalg.norm(move) < 0.07 for move in moves)
    assert np.linalg.norm(moves[0] - moves[1]) > 0.01


def test_building_task_after_task_keeps_only_the_last(world, protocol):
    import gc

    from libero.libero.envs.bddl_base_domain import BDDLBaseDomain

    before = None
    for task in (1, 2, 4):
        world.reset(spec("libero_object", task), protocol, BLIND)
        alive = sum(isinstance(thing, BDDLBaseDomain) for thing in gc.get_objects())
        assert before in (None, alive)
        before = alive

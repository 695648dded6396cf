"""Scene axes: what they change, what they leave to the bit, and that nothing of them is left in the next episode."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from nora_bench.envs.base import EpisodeSpec, ObservationSpec, SceneCheckError
from nora_bench.envs.libero.suite import libero_goal
from nora_bench.envs.perturbations import axes
from nora_bench.harness.replay.replay import run_actions

pytestmark = pytest.mark.libero

SEES = ObservationSpec(cameras=("primary", "wrist"), image_size=64)
LOOKS = [name for name in libero_goal.perturbations if not axes.axes()[name].moves]
TASKS = [("libero_spatial", 0), ("libero_object", 0), ("libero_goal", 3), ("libero_10", 5)]
ACTIONS = np.array([[0.3, -0.4, -0.3, 0.1, 0.0, 0.2, (-1.0) ** (step > 5)] for step in range(11)])


def spec(suite="libero_goal", task=3, perturbation="", init=2):
    return EpisodeSpec(suite, task, init, 0, "libero/openvla", perturbation=perturbation)


def first_images(env, protocol, episode):
    env.reset(episode, protocol, SEES)
    return env.observation().images


def states_and_images(env, protocol, episode, steps=3):
    """Digests of all states, and of the images at the start and after each step."""
    states = [env.reset(episode, protocol, SEES).states]
    seen = [env.observation().images]
    for action in ACTIONS[:steps]:
        env.step(action, observe=True)
        states.append(env.state()[None])
        seen.append(env.observation().images)
    digests = [hashlib.sha256(b"".join(images[name].tobytes() for name in images)).hexdigest() for images in seen]
    return hashlib.sha256(np.concatenate(states).tobytes()).hexdigest(), digests


@pytest.mark.parametrize(("suite", "task"), TASKS)
def test_actions_of_the_control_give_its_trajectory_under_every_axis_that_moves_nothing(env, protocol, suite, task):
    control = spec(suite, task)
    expected = run_actions(env, control, protocol, ObservationSpec(), ACTIONS).trajectory_sha256
    for name in (*(f"{axis}{level}" for axis in LOOKS for level in "13"), "noise2"):
        perturbed = replace(control, perturbation=name)
        assert run_actions(env, perturbed, protocol, SEES, ACTIONS).trajectory_sha256 == expected, name


@pytest.mark.parametrize("axis", LOOKS)
def test_first_image_differs_from_the_control_and_is_the_same_after_other_episodes(env, protocol, axis):
    episode = spec(perturbation=f"{axis}2")
    plain, alone = first_images(env, protocol, episode.control), first_images(env, protocol, episode)
    camera = "wrist" if axis == "wrist" else "primary"
    assert (plain[camera] != alone[camera]).mean() > 0.02
    first_images(env, protocol, spec(perturbation="background3", init=5))
    first_images(env, protocol, spec(perturbation="light3", init=4))
    again = first_images(env, protocol, episode)
    assert all((again[name] == alone[name]).all() for name in alone)


@pytest.mark.parametrize("axis", libero_goal.perturbations)
def test_nothing_of_a_perturbation_is_left_in_the_next_episode(env, protocol, axis):
    expected = states_and_images(env, protocol, spec())
    states_and_images(env, protocol, spec(perturbation=f"{axis}3", init=4), steps=1)
    assert states_and_images(env, protocol, spec()) == expected


def test_perturbation_outlives_a_renderer_of_another_size_and_a_rebuilt_task(env, protocol):
    episode = spec(perturbation="background3")
    alone = first_images(env, protocol, episode)
    env.reset(episode, protocol, replace(SEES, image_size=48))
    env.reset(spec("libero_object", 0), protocol, ObservationSpec())
    again = first_images(env, protocol, episode)
    assert all((again[name] == alone[name]).all() for name in alone)


def test_environment_without_images_takes_every_axis(env, protocol):
    for axis in libero_goal.perturbations:
        env.reset(spec(perturbation=f"{axis}1"), protocol, ObservationSpec())


@pytest.mark.parametrize(("axis", "other"), [("camera", "wrist"), ("wrist", "primary")])
def test_a_camera_moves_alone(env, protocol, axis, other):
    plain, moved = first_images(env, protocol, spec()), first_images(env, protocol, spec(perturbation=f"{axis}3"))
    assert (plain[other] == moved[other]).all()


def test_start_pose_moves_the_arm_by_the_level_and_nothing_else(env, protocol):
    for level, size in (("1", 0.1), ("2", 0.2), ("3", 0.4)):
        plain = env.reset(spec(), protocol, ObservationSpec()).states
        moved = env.reset(spec(perturbation=f"robot{level}"), protocol, ObservationSpec()).states
        arm = np.arange(1, plain.shape[1])[env._scene.arm.qpos]
        assert np.linalg.norm((moved - plain)[0, arm]) == pytest.approx(size)
        assert (np.delete(moved[0], arm) == np.delete(plain[0], arm)).all()
        assert np.linalg.norm((moved - plain)[-1, arm]) > size / 2  # the controller holds the new pose


def places(env, states):
    scene = env._scene
    joints = {name: scene.model.joint(thing.joints[-1]) for name, thing in scene.inner.objects_dict.items()}
    return {name: states[1 + int(joint.qposadr[0]) :][:7] for name, joint in joints.items()}


@pytest.mark.parametrize(("suite", "task"), [("libero_object", 0), ("libero_goal", 3)])
def test_layout_shifts_free_objects_by_the_level_and_they_stay_where_they_are_put(env, protocol, suite, task):
    plain = env.reset(spec(suite, task), protocol, ObservationSpec())
    before = places(env, plain.states[0])
    moved = env.reset(spec(suite, task, "layout2"), protocol, ObservationSpec())
    after, settled = places(env, moved.states[0]), places(env, moved.states[-1])
    shifts = {name: np.linalg.norm(after[name][:2] - before[name][:2]) for name in before}
    assert sum(shift == pytest.approx(0.04) for shift in shifts.values()) >= len(shifts) - 1
    assert all((after[name][2:] == before[name][2:]).all() for name in before)
    assert all(np.linalg.norm(settled[name][:2] - after[name][:2]) < 0.02 for name in before)
    assert moved.fixtures == plain.fixtures


def test_layout_keeps_what_stands_on_a_shifted_object_on_it(env, protocol):
    """libero_spatial task 3: the bowl on the cookie box."""
    before = places(env, env.reset(spec("libero_spatial", 3), protocol, ObservationSpec()).states[0])
    after = places(env, env.reset(spec("libero_spatial", 3, "layout3"), protocol, ObservationSpec()).states[0])
    shift = after["cookies_1"] - before["cookies_1"]
    assert np.linalg.norm(shift) == pytest.approx(0.08)
    assert after["akita_black_bowl_1"] - before["akita_black_bowl_1"] == pytest.approx(shift)


def test_layout_shifts_everything_alike_where_places_name_the_object(env, protocol):
    """libero_spatial task 0: the bowl between the plate and the ramekin."""
    before = places(env, env.reset(spec("libero_spatial", 0), protocol, ObservationSpec()).states[0])
    after = places(env, env.reset(spec("libero_spatial", 0, "layout2"), protocol, ObservationSpec()).states[0])
    shifts = [after[name][:2] - before[name][:2] for name in before]
    assert all(shift == pytest.approx(shifts[0]) for shift in shifts)


@pytest.mark.parametrize("init", [0, 1])
def test_swap_lets_two_objects_exchange_places_and_moves_nothing_else(env, protocol, init):
    plain = env.reset(spec("libero_object", 0, init=init), protocol, ObservationSpec())
    before = places(env, plain.states[0])
    moved = env.reset(spec("libero_object", 0, "layout-swap", init), protocol, ObservationSpec())
    after, settled = places(env, moved.states[0]), places(env, moved.states[-1])
    a, b = (name for name in before if (after[name] != before[name]).any())
    assert after[a][:2] == pytest.approx(before[b][:2])
    assert after[b][:2] == pytest.approx(before[a][:2])
    assert {"alphabet_soup_1", "basket_1"} & {a, b}  # the goal names one of them
    assert all((after[name][2:] == before[name][2:]).all() for name in before)
    assert all(np.linalg.norm(settled[name][:2] - after[name][:2]) < 0.02 for name in before)
    again = env.reset(spec("libero_object", 0, "layout-swap", init), protocol, ObservationSpec())
    assert (again.states == moved.states).all()


def test_objects_named_by_their_place_do_not_exchange_places(env, protocol):
    with pytest.raises(SceneCheckError, match="exchange"):
        env.reset(spec("libero_spatial", 0, "layout-swap"), protocol, ObservationSpec())

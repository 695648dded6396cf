"""Axis `distractors`: which objects are added, where they stand, and what they leave as it is."""

import numpy as np
import pytest
from nora_bench.envs.base import FRESH, EpisodeSpec, ObservationSpec, SceneCheckError
from nora_bench.envs.libero.tasks import load_tasks

pytestmark = pytest.mark.libero

BLIND = ObservationSpec()
TASKS = [("libero_spatial", 0), ("libero_object", 0), ("libero_goal", 3), ("libero_10", 2)]
SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")


def spec(suite="libero_goal", task=3, perturbation="distractors2", init=2, **fields):
    return EpisodeSpec(suite, task, init, 0, "libero/openvla", perturbation=perturbation, **fields)


def joints(env, state):
    """Joint -> its part of a state [1 + nq + nv]: joint values and velocities."""
    model, sizes = env._scene.model, {0: (7, 6), 2: (1, 1), 3: (1, 1)}
    found = {}
    for joint in map(model.joint, range(model.njnt)):
        (positions, speeds), start, speed = (
            sizes[int(joint.type[0])],
            1 + int(joint.qposadr[0]),
            1 + model.nq + int(joint.dofadr[0]),
        )
        found[joint.name] = [*state[start : start + positions], *state[speed : speed + speeds]]
    return found


@pytest.mark.parametrize(("suite", "task"), TASKS)
def test_everything_of_the_task_starts_as_in_the_control_and_added_objects_stand_still(env, protocol, suite, task):
    plain = env.reset(spec(suite, task, ""), protocol, BLIND)
    expected = joints(env, plain.states[0])
    crowded = env.reset(spec(suite, task), protocol, BLIND)
    found, scene = joints(env, crowded.states[0]), env._scene
    assert {name: found[name] for name in expected} == expected
    assert len(found) == len(expected) + 3
    assert crowded.fixtures == plain.fixtures
    for name in scene.added:
        start, end = (crowded.states[row][scene.pose_columns(name)][:3] for row in (0, -1))
        assert np.linalg.norm(end - start) < 0.002


@pytest.mark.parametrize(("suite", "task"), TASKS)
def test_added_objects_keep_away_from_the_goal_and_from_each_other(env, protocol, suite, task):
    states = env.reset(spec(suite, task, "distractors3"), protocol, BLIND).states
    scene = env._scene
    places = {name: states[-1][scene.pose_columns(name)][:2] for name in scene.inner.objects_dict}
    in_goal = {name for term in scene.goal.text for part in term[1:] for name in places if part.startswith(name)}
    assert len(scene.added) == 5
    for name in scene.added:
        assert all(np.linalg.norm(places[name] - places[other]) > 0.13 for other in in_goal)
        assert all(np.linalg.norm(places[name] - places[other]) > 0.095 for other in set(places) - {name})


@pytest.mark.parametrize("suite", SUITES)
def test_added_categories_are_none_of_the_scene_and_no_look_alike_of_what_is_named(suite):
    from nora_bench.envs.libero.sim.install import task_file
    from nora_bench.envs.libero.sim.perturb.distractor_sets import added_categories
    from nora_bench.envs.libero.sim.problem import read_problem

    for task in load_tasks(suite):
        added = [added_categories(spec(suite, task.id, f"distractors{level}")) for level in "123"]
        assert list(map(len, added)) == [1, 3, 5]
        assert added[2][:3] == added[1]
        assert added[1][:1] == added[0]
        assert added[2] == added_categories(spec(suite, task.id, "distractors3", init=7))
        own = read_problem(task_file(suite, task.name).read_text(encoding="utf-8")).objects
        assert not set(added[2]) & set(own.values())
        assert not {word for category in added[2] for word in category.split("_")} & set(task.instruction.lower().split())


def test_bowl_gets_no_other_bowl_beside_it():
    from nora_bench.envs.libero.sim.perturb.distractor_sets import fitting_categories

    assert "glazed_rim_porcelain_ramekin" not in fitting_categories("libero_goal", 8)  # put the bowl on the plate
    assert "glazed_rim_porcelain_ramekin" in fitting_categories("libero_goal", 7)  # turn on the stove


def test_places_differ_between_initial_states_and_are_the_same_after_other_episodes(env, protocol):
    first = env.reset(spec(), protocol, BLIND).states
    other = env.reset(spec(init=3), protocol, BLIND).states
    env.reset(spec("libero_object", 0, "distractors3"), protocol, BLIND)
    again = env.reset(spec(), protocol, BLIND).states
    assert (again == first).all()
    columns = env._scene.pose_columns(env._scene.added[0])
    assert np.linalg.norm((first - other)[0, columns][:2]) > 0.01


def test_places_do_not_depend_on_the_looks_of_a_pack(env, protocol):
    """In LIBERO's own pack the geoms that things touch are transparent, in stand-ins opaque."""
    first = env.reset(spec(), protocol, BLIND).states
    alpha = env._scene.model.geom_rgba[:, 3]
    before = alpha.copy()
    alpha[:] = 0.0
    try:
        again = env.reset(spec(), protocol, BLIND).states
        assert (alpha == 0.0).all()
    finally:
        alpha[:] = before
    assert (again == first).all()


def test_image_shows_them_and_the_robot_state_has_the_same_form(env, protocol):
    sees = ObservationSpec(cameras=("primary",), image_size=64, proprio=True)
    seen = []
    for name in ("", "distractors3"):
        env.reset(spec(perturbation=name), protocol, sees)
        seen.append(env.observation())
    plain, crowded = seen
    assert (plain.images["primary"] != crowded.images["primary"]).any(axis=-1).mean() > 0.01
    assert {name: len(value) for name, value in plain.proprio.items()} == {
        name: len(value) for name, value in crowded.proprio.items()
    }


def test_each_added_object_is_in_the_image(env, protocol):
    """Each takes part of the image when it is taken away."""
    import mujoco

    env.reset(spec(perturbation="distractors3"), protocol, ObservationSpec(cameras=("primary",), image_size=96))
    scene = env._scene
    full = env._render("primary")
    for name in scene.added:
        height = scene.data.joint(f"{name}_joint0").qpos[2:3]
        height += 50.0
        mujoco.mj_forward(scene.model, scene.data)
        assert (env._render("primary") != full).any(axis=-1).sum() > 10, name
        height -= 50.0
    mujoco.mj_forward(scene.model, scene.data)


def test_goal_is_that_of_the_task_and_added_objects_are_bystanders(env, protocol):
    env.reset(spec(perturbation=""), protocol, BLIND)
    goal, own = env._scene.goal.text, env.roles().objects
    env.reset(spec(), protocol, BLIND)
    roles = env.roles()
    assert env._scene.goal.text == goal
    assert roles.objects == (*own, *env._scene.added)
    assert {len(own) + number for number in range(3)} <= set(roles.bystanders)
    assert len(env.moment().poses) == len(own) + 3


def test_fresh_states_are_the_frozen_ones(env, protocol):
    plain = env.reset(spec(perturbation="", init_set=FRESH), protocol, BLIND).states[0]
    crowded = env.reset(spec(init_set=FRESH), protocol, BLIND).states[0]
    assert (crowded[env._scene.task_columns] == plain).all()


def test_scene_without_room_is_an_error_that_names_the_object(env, protocol, monkeypatch):
    from nora_bench.envs.libero.sim.perturb import distractors

    monkeypatch.setattr(distractors, "CLEARANCE", 10.0)
    with pytest.raises(SceneCheckError) as caught:
        env.reset(spec(), protocol, BLIND)
    assert env._scene.added[0] in str(caught.value)


def test_object_that_would_move_another_is_not_placed(env, protocol, monkeypatch):
    from nora_bench.envs.libero.sim.perturb import distractors

    monkeypatch.setattr(distractors, "MOVED", 0.0)
    with pytest.raises(SceneCheckError, match="settle"):
        env.reset(spec(), protocol, BLIND)

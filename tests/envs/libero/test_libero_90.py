"""libero_90 on stand-ins: its scenes, and its own objects in the simulator."""

import re

import numpy as np
import pytest
from nora_bench.envs.libero.assets.standin import STANDIN_90
from nora_bench.envs.libero.assets.standin.pack import LIBERO_90_ONLY
from nora_bench.envs.libero.init_states import load_init_states
from nora_bench.envs.libero.sim import install, scene_checks
from nora_bench.envs.libero.sim.freeze_scene_checks import settling, usual

from .scenes_90 import FIRST, OWN_CLASSES, TASKS, scene_name

pytestmark = pytest.mark.libero


def without_goal(task):
    """A task's file up to its goal, without instruction and objects of interest."""
    text = install.task_file("libero_90", task.name).read_text().split("(:goal")[0]
    return re.sub(r"\((:language|:obj_of_interest)[^)]*\)", "", text).split()


@pytest.mark.parametrize("scene", FIRST)
def test_tasks_of_a_scene_differ_in_the_goal_alone(scene):
    tasks = [task for task in TASKS if scene_name(task) == scene]
    assert all(without_goal(task) == without_goal(tasks[0]) for task in tasks[1:])


@pytest.fixture(scope="module")
def standin_90(tmp_path_factory):
    return STANDIN_90.ensure(tmp_path_factory.mktemp("standin90"))


@pytest.fixture
def build(gl, cache, pack, standin_90, monkeypatch):
    """Builds a task of libero_90 on stand-ins."""
    install.import_libero(pack, cache, gl=gl)
    import libero.libero as package
    from nora_bench.envs.libero.sim.scene import LiberoScene

    monkeypatch.setattr(package, "_assets_path_cache", str(standin_90))
    return lambda task: LiberoScene(str(install.task_file("libero_90", task.name)))


def first_state(scene, task):
    return load_init_states(install.init_folder("libero_90") / f"{task.name}.pruned_init", scene.state_size)[0]


@pytest.mark.parametrize("task", OWN_CLASSES)
def test_objects_on_stand_ins_settle_as_measured_on_official_files(build, task):
    scene = build(TASKS[task])
    things = [*scene.inner.objects_dict.values(), *scene.inner.fixtures_dict.values()]
    assert set(OWN_CLASSES[task]) <= {thing.category_name for thing in things}
    motion, notes = settling(scene, first_state(scene, TASKS[task]))
    assert notes == []
    check = scene_checks.scene_check_of("libero_90", task)
    assert motion.keys() == check.objects.keys()
    for name, usually in check.objects.items():
        assert motion[name] == pytest.approx(usually, abs=1.0), name


def test_task_on_stand_ins_steps_under_random_motion(build):
    scene = build(TASKS[40])
    scene.reset(0)
    scene.set_state(first_state(scene, TASKS[40]))
    rng, start = np.random.default_rng(1), scene.state()
    for _ in range(20):
        scene.step(rng.uniform(-1, 1, 7))
    assert np.isfinite(scene.state()).all()
    assert np.abs(scene.state() - start)[1:].max() > 1e-2
    assert not scene.goal.holds()


def test_every_task_has_a_scene_check():
    assert all(scene_checks.scene_check_of("libero_90", task.id) for task in TASKS)


def test_own_classes_are_all_covered():
    assert sorted(name for names in OWN_CLASSES.values() for name in names) == sorted(LIBERO_90_ONLY)


# --- measuring scene checks -----------------------------------------------------------------------------------------


def test_usual_motion_is_the_median_and_its_state_the_first_that_moves_so():
    settled = [({"bowl": (-70.0, 90.0, 5.0)}, []), ({"bowl": (-71.64, 71.64, 0.0)}, ["bowl still moves"])]
    settled += [({"bowl": (-71.62, 71.62, 0.0032)}, []), ({"bowl": (-71.6, 71.6, 0.0)}, []), ({}, ["unstable"])]
    entry = usual(settled)
    assert entry["state"] == 2
    assert entry["objects"]["bowl"] == pytest.approx([-71.61, 71.63, 0.0016])


def test_task_without_a_usual_state_has_no_check():
    with pytest.raises(ValueError, match="no state"):
        usual([({"bowl": (0.0, 0.0, 0.0)}, ["bowl still moves"])])

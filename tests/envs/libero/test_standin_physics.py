"""Stand-ins compile to the official files' physics, to the bit, and so the same actions give the same states.

The compiled models of all tasks are compared, in libero_90 of one task per scene. Equal compiled models step equally, so only
some tasks are stepped too.
"""

import json
import shutil

import numpy as np
import pytest
from nora_bench.envs import suites
from nora_bench.envs.libero.assets.standin import STANDIN, STANDIN_90
from nora_bench.envs.libero.init_states import load_init_states
from nora_bench.envs.libero.sim import install
from nora_bench.envs.libero.tasks import load_tasks

from .scenes_90 import FIRST, OWN_CLASSES

pytestmark = [pytest.mark.libero, pytest.mark.official]

QUICK = {("libero_spatial", 4), ("libero_object", 0), ("libero_goal", 3), ("libero_10", 0), ("libero_10", 5), ("libero_10", 9)}
QUICK |= {("libero_90", task) for task in OWN_CLASSES}
TASKS = [
    pytest.param(suite, task.id, marks=[] if (suite, task.id) in QUICK else pytest.mark.slow, id=f"{suite}/{task.id}")
    for suite in (*suites.LIBERO, "libero_90")
    for task in load_tasks(suite)
    if suite != "libero_90" or task in FIRST.values() or (suite, task.id) in QUICK
]
DRAWN = {"geom_matid", "geom_rgba", "geom_dataid", "site_matid", "geom_bvhadr"}
"""Fields of geoms and sites that only the renderer reads, or that count meshes."""
COUNTS = {"body_bvhadr", "body_plugin", "geom_plugin"}
FAMILIES = ("body_", "jnt_", "dof_", "geom_", "site_", "actuator_", "eq_", "tendon_", "sensor_", "qpos", "cam_", "light_")
"""Arrays that physics or the cameras read."""
STEPS = 60


@pytest.fixture(scope="module")
def packs(official, tmp_path_factory):
    return official, str(STANDIN.ensure(tmp_path_factory.mktemp("packs")))


@pytest.fixture(scope="module")
def packs_90(fetched, tmp_path_factory):
    """Many packs named as official hold the objects of the four suites only."""
    return str(fetched), str(STANDIN_90.ensure(tmp_path_factory.mktemp("packs")))


@pytest.fixture
def build(gl, cache, official, monkeypatch):
    """Compiles a task with a pack."""
    install.import_libero(official, cache, gl=gl)
    import libero.libero as package
    from nora_bench.envs.libero.sim.scene import LiberoScene

    def built(pack, suite, task):
        monkeypatch.setattr(package, "_assets_path_cache", pack)
        return LiberoScene(str(install.libero_root() / "bddl_files" / suite / f"{load_tasks(suite)[task].name}.bddl"))

    return built


def fields(model):
    """Everything that physics reads of a compiled model: name -> bytes."""
    touching = (model.geom_group == 0) | (model.geom_contype > 0) | (model.geom_conaffinity > 0)
    found = {name: getattr(model, name) for name in dir(model) if name.startswith(FAMILIES) and name not in DRAWN | COUNTS}
    arrays = {name: value[touching] if name.startswith("geom_") else value for name, value in found.items()}
    arrays |= {"order of groups": model.geom_group, "bodies of geoms": model.geom_bodyid, "bounding volumes": body_volumes(model)}
    arrays |= {f"opt.{name}": np.asarray(getattr(model.opt, name)) for name in dir(model.opt) if not name.startswith("_")}
    return {name: value.tobytes() for name, value in arrays.items() if value.dtype != object} | {"names": names(model)}


def body_volumes(model):
    """The broad phase's boxes of every body, without those of meshes."""
    spans = zip(model.body_bvhadr, model.body_bvhnum, strict=True)
    return np.concatenate([model.bvh_aabb[start : start + count] for start, count in spans if count > 0])


def names(model):
    kinds = {"body": model.nbody, "joint": model.njnt, "geom": model.ngeom, "site": model.nsite, "camera": model.ncam}
    return json.dumps([[getattr(model, kind)(i).name for i in range(count)] for kind, count in kinds.items()]).encode()


def differences(one, other):
    first, second = fields(one.model), fields(other.model)
    assert first.keys() == second.keys()
    return [name for name in first if first[name] != second[name]]


def play(scene, suite, task, steps=STEPS):
    """States of random motion from the second initial state."""
    rng = np.random.default_rng(1)
    root = install.libero_root() / "init_files" / suite
    scene.reset(0)
    scene.set_state(load_init_states(root / f"{load_tasks(suite)[task].name}.pruned_init", scene.state_size)[1])
    states = []
    for _ in range(steps):
        scene.step(rng.uniform(-1, 1, 7))
        states.append(scene.state())
    return np.array(states)


@pytest.mark.parametrize(("suite", "task"), TASKS)
def test_both_packs_compile_to_the_same_physics(build, request, suite, task):
    """The tasks of QUICK also step both models through random motion; equal compiled models step equally."""
    official, standin = request.getfixturevalue("packs_90" if suite == "libero_90" else "packs")
    ours, theirs = build(standin, suite, task), build(official, suite, task)
    if (suite, task) in QUICK:
        states = play(ours, suite, task)
        assert states.tobytes() == play(theirs, suite, task).tobytes()
        assert np.abs(np.diff(states[:, 1:], axis=0)).max() > 1e-3
    assert differences(ours, theirs) == []


def test_changed_digit_is_detected(build, packs, tmp_path):
    changed = tmp_path / "assets"
    shutil.copytree(packs[1], changed)
    xml = changed / "stable_hope_objects" / "butter" / "butter.xml"
    text = xml.read_text()
    assert text.count("0.00871") == 1
    xml.write_text(text.replace("0.00871", "0.00872"))
    found = differences(build(str(changed), "libero_object", 0), build(packs[1], "libero_object", 0))
    assert {"geom_size", "body_mass", "body_inertia"} <= set(found)

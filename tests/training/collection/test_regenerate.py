"""Demonstrations with pauses, made from the expert's, without them again."""

from dataclasses import replace

import numpy as np
import pytest
from nora_bench.envs import protocols, suites
from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
from nora_bench.envs.paths import cache_home
from nora_bench.harness.rendering.gl import find_gl
from nora_bench.policies.base import Observation, PolicyContext
from nora_bench.policies.scripted.policy import ScriptedPolicy
from nora_bench.training.collection.demonstrator import Demonstrator, PerturbationConfig
from nora_bench.training.collection.regenerate import RegenerateCounts, regenerate, regenerate_file
from nora_bench.training.collection.writer import append
from nora_bench.training.data.demonstrations import read_files, task_files

pytest.importorskip("libero", reason="no hf-libero: pip install 'nora-bench[libero]' && nora-bench doctor --fix")
pytest.importorskip("h5py", reason="no h5py: pip install 'nora-bench[train]'")
pytestmark = pytest.mark.libero
SUITE, TASK = "libero_goal", 8


@pytest.fixture(scope="module")
def options():
    return EnvOptions(suites.get(SUITE).resolve_assets("standin").path, find_gl().name, str(cache_home()))


@pytest.fixture(scope="module")
def recorded(options):
    """As LIBERO records: from an unsettled initial state on, the settling being a pause; another one in the middle."""
    protocol, world = protocols.get("libero/openvla"), suites.get(SUITE).make_env(options)
    spec = EpisodeSpec(SUITE, TASK, 0, 0, protocol.name)
    demonstrator = Demonstrator(ScriptedPolicy(), PerturbationConfig(noise_std=0.0, push_probability=0.0))
    demonstrator.setup(PolicyContext(protocol, (SUITE,), 7))
    first, goal, step = world.reset(spec, protocol, ObservationSpec(privileged=True)).states[0], False, 0
    while not goal:
        chunk = demonstrator.act_one(Observation(spec, step, step, "", world.observation()))
        goal = world.step(chunk.actions[0], observe=True)
        step += 1
    world.close()
    found = demonstrator.demonstration(spec.key, SUITE, suites.get(SUITE).tasks[TASK], {})
    return replace(found, states=np.concatenate([first[None], found.states[1:]]))


def paused(demonstration, at=30, steps=7):
    """The same with the hand standing still for some steps, gripper as it is."""
    rows = np.insert(np.arange(len(demonstration)), at, [at] * steps)
    names = ("actions", "labels", "pushed", "states", "robot_states", "seen_qpos")
    changed = {name: getattr(demonstration, name)[rows].copy() for name in names}
    for name in ("actions", "labels"):
        changed[name][at : at + steps, :6] = 0.0
        changed[name][at : at + steps, 6] = demonstration.actions[at - 1, 6]
    return replace(demonstration, **changed)


@pytest.fixture(scope="module")
def player(options):
    from nora_bench.envs.libero.sim.restored import StateReplayer

    return StateReplayer(options)


def test_regeneration_removes_an_inserted_pause(player, recorded):
    made = regenerate(player, paused(recorded))
    assert made is not None and made.facts["noops"] == 7
    assert np.array_equal(made.actions, recorded.actions)
    assert np.array_equal(made.states[1:], recorded.states[1:])
    assert np.array_equal(made.seen_qpos, recorded.seen_qpos)
    assert made.robot_states == pytest.approx(recorded.robot_states, abs=2e-3)  # read two physics steps apart
    assert made.facts["columns"] == recorded.facts["columns"]


def test_failed_replay_is_dropped(player, recorded):
    assert regenerate(player, replace(recorded, actions=recorded.actions[:40], labels=recorded.labels[:40])) is None


def test_file_is_regenerated_once(options, recorded, tmp_path):
    append(tmp_path, paused(recorded))
    append(tmp_path, replace(recorded, key="fails", actions=recorded.actions * 0.5))
    (path,) = task_files([tmp_path])
    count = regenerate_file(path, tmp_path / "out", options)
    assert count == RegenerateCounts(kept=1, failed=1, steps=len(recorded) + 7, noops=7)
    assert [found.key for found in read_files(task_files([tmp_path / "out"]))] == [recorded.key]
    assert regenerate_file(path, tmp_path / "out", options).kept == 0

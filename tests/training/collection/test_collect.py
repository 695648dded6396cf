"""What is tried, what is kept, and that what is kept is what happened."""

import json
from itertools import islice
from xml.etree import ElementTree

import numpy as np
import pytest
from nora_bench.envs import protocols, suites
from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
from nora_bench.envs.paths import cache_home
from nora_bench.harness.cli import main
from nora_bench.harness.config import parse
from nora_bench.harness.rendering.gl import find_gl
from nora_bench.policies.scripted.steps import CLOSED, OPEN
from nora_bench.training.collection.collect import ATTEMPTS, CollectConfig, resolve
from nora_bench.training.collection.demonstrator import PerturbationConfig
from nora_bench.training.data.demonstrations import read_files, task_files

pytest.importorskip("libero", reason="no hf-libero: pip install 'nora-bench[libero]' && nora-bench doctor --fix")
pytest.importorskip("h5py", reason="no h5py: pip install 'nora-bench[train]'")
pytestmark = pytest.mark.libero
PROTOCOL = "libero/openvla"
TASK = 8
ARGUMENTS = ("--suite", "libero_goal", "--tasks", str(TASK), "--workers", "1")


def options():
    """Of a world that could draw: what draws is decided once in a process, for all tests in it."""
    return EnvOptions(suites.get("libero_goal").resolve_assets("standin").path, find_gl().name, str(cache_home()))


def collection(folder, episodes=3, states=(0, 1, 2, 3), **config):
    values = {"suite": "libero_goal", "tasks": str(TASK), "policy": "scripted", "assets": "standin", "out": str(folder)}
    return resolve(CollectConfig(parse({**values, **config}), episodes, PerturbationConfig(), states))


def lines(folder, *outcomes):
    """A collection's folder in which the first attempts went like that."""
    attempts = collection(folder).attempts(collection(folder).tasks[0])
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_text("{}")
    fields = ("suite", "task_id", "init_state", "seed", "protocol", "key")
    attempted = [{field: getattr(spec, field) for field in fields} for spec in islice(attempts, len(outcomes))]
    others = {"task": "t", "instruction": "i", "policy": "scripted", "steps": 90, "decisions": 90}
    records = [
        {**spec, **others, "success": success, "termination": "error" if success is None else "success" if success else "budget"}
        for spec, success in zip(attempted, outcomes, strict=True)
    ]
    (folder / "episodes.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def inits(plan):
    return [(spec.init_state, spec.seed) for spec in plan.episodes]


def test_initial_states_are_tried_in_order(tmp_path):
    assert inits(collection(tmp_path).next_round()) == [(0, 0), (1, 0), (2, 0)]


def test_after_the_last_initial_state_comes_the_next_seed(tmp_path):
    assert inits(collection(tmp_path, episodes=6).next_round())[4:] == [(0, 1), (1, 1)]


def test_failed_episodes_are_replaced_by_further_attempts(tmp_path):
    lines(tmp_path, True, False, True)
    assert inits(collection(tmp_path).next_round()) == [(3, 0)]


def test_failed_episode_counts_as_attempt(tmp_path):
    lines(tmp_path, None, True, True)
    assert inits(collection(tmp_path).next_round()) == [(3, 0)]


def test_enough_demonstrations_end_the_collection(tmp_path):
    lines(tmp_path, True, True, True)
    assert inits(collection(tmp_path).next_round()) == []


def test_more_demonstrations_are_collected_later(tmp_path):
    lines(tmp_path, True, True, True)
    assert inits(collection(tmp_path, episodes=5).next_round()) == [(3, 0), (0, 1)]


def test_task_is_given_up_after_maximum_attempts(tmp_path):
    lines(tmp_path, *[False] * (3 * ATTEMPTS - 1))
    assert len(collection(tmp_path).next_round().episodes) == 1


@pytest.mark.parametrize("states", ["35", "0-40", "49"])
def test_initial_states_reserved_for_tests_are_rejected(cli, tmp_path, states):
    ended = cli("collect", *ARGUMENTS, "--init-states", states, "--out", tmp_path)
    assert ended.code == 2 and "--held-out" in ended.err and not [*tmp_path.iterdir()]


def test_expert_without_privileged_state_is_rejected(cli, tmp_path):
    ended = cli("collect", *ARGUMENTS, "--policy", "zero", "--out", tmp_path)
    assert ended.code == 2 and "zero" in ended.err


def test_dry_run_prints_the_cost_and_writes_nothing(cli, tmp_path):
    ended = cli("collect", *ARGUMENTS, "--dry-run", "--out", tmp_path / "demos")
    assert ended.code == 0 and "at most" in ended.out and not (tmp_path / "demos").exists()


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """Two demonstrations of one task."""
    folder = tmp_path_factory.mktemp("demonstrations")
    with pytest.raises(SystemExit) as ended:
        main(["collect", *ARGUMENTS, "--episodes", "2", "--out", str(folder), "--push-probability", "0.1"])
    assert not ended.value.code
    return folder


@pytest.fixture(scope="module")
def demonstrations(collected):
    return [*read_files(task_files([collected]), model=True)]


@pytest.fixture(scope="module")
def taken_over(tmp_path_factory):
    """One demonstration in which a random policy begins and the expert ends; its folder too."""
    folder = tmp_path_factory.mktemp("corrections")
    begins = ("--learner", "random", "--learner-steps", "20-30", "--seed", "7", "--push-probability", "0")
    with pytest.raises(SystemExit) as ended:
        main(["collect", *ARGUMENTS, "--episodes", "1", "--out", str(folder), *begins])
    assert not ended.value.code
    (found,) = read_files(task_files([folder]))
    return folder, found


def test_expert_takes_over_from_the_learner(taken_over):
    folder, found = taken_over
    (record,) = [json.loads(line) for line in (folder / "libero_goal" / "episodes.jsonl").read_text().splitlines()][-1:]
    begun = found.facts["learner_steps"]
    assert 20 <= begun <= 30 and found.facts["seed"] == 7
    assert record["success"] and record["steps"] == begun + len(found)


def test_actions_of_the_learner_are_not_recorded(taken_over, demonstrations):
    _, found = taken_over
    away = np.linalg.norm(found.robot_states[0, 2:5] - demonstrations[0].robot_states[0, 2:5])
    assert away > 0.02  # the recording begins where the learner's way ended
    assert np.abs(found.actions - found.labels)[:, :6].max() < 0.5  # noise alone


def test_success_before_the_takeover_is_no_demonstration(cli, tmp_path):
    """The learner is an expert here, and ends within its steps; the next initial states are tried, and nothing is written."""
    begins = ("--learner", "scripted", "--learner-steps", "200-200", "--push-probability", "0", "--episodes", "1", "--json")
    ended = cli("collect", *ARGUMENTS, *begins, "--out", tmp_path)
    (report,) = json.loads(ended.out)["collections"]
    assert ended.code == 0
    assert (report["demonstrations"], report["failed"], report["succeeded_before_takeover"], len(report["missing"])) == (
        0,
        0,
        3,
        1,
    )


def test_expert_continues_with_an_object_in_the_gripper(cli, tmp_path):
    """The learner is an expert here and carries the bowl when its steps are over."""
    begins = (
        "--learner",
        "scripted",
        "--learner-steps",
        "70-70",
        "--noise-std",
        "0",
        "--push-probability",
        "0",
        "--episodes",
        "1",
    )
    assert cli("collect", "--suite", "libero_spatial", "--tasks", "2", "--workers", "1", *begins, "--out", tmp_path).code == 0
    (found,) = read_files(task_files([tmp_path]))
    let_go = int(np.argmin(found.labels[:, 6]))
    assert let_go > 10 and (found.labels[:let_go, 6] == CLOSED).all() and (found.labels[let_go:, 6] == OPEN).all()


@pytest.mark.parametrize("steps", ["80", "80-10", "a-b"])
def test_learner_steps_need_two_numbers(cli, tmp_path, steps):
    ended = cli("collect", *ARGUMENTS, "--learner", "random", "--learner-steps", steps, "--out", tmp_path)
    assert ended.code == 2 and "like 10-80" in ended.err


def test_requested_number_of_demonstrations_is_written(demonstrations):
    assert sorted(found.facts["init_state"] for found in demonstrations) == [0, 1]


def test_the_same_command_again_has_nothing_to_do(cli, collected):
    ended = cli("collect", *ARGUMENTS, "--episodes", "2", "--out", collected, "--push-probability", "0.1", "--json")
    (report,) = json.loads(ended.out)["collections"]
    assert (report["demonstrations"], report["episodes"]) == (2, 0)


def test_folder_with_another_perturbation_is_rejected(cli, collected):
    ended = cli("collect", *ARGUMENTS, "--episodes", "3", "--out", collected, "--push-probability", "0.2")
    assert ended.code == 2 and "--out" in ended.err


def test_labels_are_the_experts_and_pushes_are_marked(demonstrations):
    for found in demonstrations:
        off = np.abs(found.actions - found.labels)[:, :6].max(axis=1)
        assert (off > 0).all() and off[found.pushed].mean() > 3 * off[~found.pushed].mean()
        assert np.array_equal(found.actions[:, 6], found.labels[:, 6])


def test_the_executed_actions_replay_to_the_stored_states(demonstrations):
    world = suites.get("libero_goal").make_env(options())
    found = demonstrations[0]
    spec = EpisodeSpec("libero_goal", TASK, found.facts["init_state"], found.facts["seed"], PROTOCOL)
    world.reset(spec, protocols.get(PROTOCOL), ObservationSpec())
    for action, state in zip(found.actions, found.states, strict=True):
        assert np.array_equal(world.state(), state)
        goal = world.step(action, observe=False)
    assert goal
    world.close()


def test_model_has_the_fixture_poses(demonstrations):
    for found in demonstrations:
        bodies = {body.get("name"): body for body in ElementTree.fromstring(found.model).iter("body")}
        for name, pose in found.facts["fixtures"].items():
            body = bodies.get(f"{name}_main", bodies.get(name))
            assert [float(x) for x in f"{body.get('pos')} {body.get('quat')}".split()] == pose


def test_columns_name_where_objects_are_in_a_state(demonstrations):
    found = demonstrations[0]
    plate = found.facts["columns"]["plate_1_joint0"]
    bowl = found.facts["columns"]["akita_black_bowl_1_joint0"]
    apart = np.linalg.norm(found.states[:, bowl : bowl + 2] - found.states[:, plate : plate + 2], axis=1)
    assert apart[0] > 0.1 > apart[-1]


def test_liberos_own_code_rebuilds_the_scene_from_a_demonstration(demonstrations):
    """Its tools load the stored model, set a stored state, and go on from there."""
    world = suites.get("libero_goal").make_env(options())
    found = demonstrations[0]
    spec = EpisodeSpec("libero_goal", TASK, found.facts["init_state"], found.facts["seed"], PROTOCOL)
    world.reset(spec, protocols.get(PROTOCOL), ObservationSpec())
    env = world._scene.env.env
    env.reset_from_xml_string(found.model)
    env.sim.reset()
    env.sim.set_state_from_flattened(found.states[-1])
    env.sim.forward()
    hand = env.sim.data.site_xpos[env.robots[0].eef_site_id]
    assert np.allclose(hand, found.robot_states[-1, 2:5], atol=1e-3)
    world.close()


def test_images_are_rendered_once_by_several_processes(cli, collected, tmp_path):
    command = ("data", "render", "--data", collected, "--out", tmp_path, "--image-size", "28", "--frame-stride", "40", "--json")
    planned = json.loads(cli(*command, "--dry-run").out)
    rendered = json.loads(cli(*command, "--workers", "2").out)
    again = json.loads(cli(*command).out)
    assert planned["missing"] == rendered["rendered"] > 0 and again["missing"] == 0
    assert all(np.load(path).shape[1:] == (28, 28, 3) for path in tmp_path.rglob("*.npy"))

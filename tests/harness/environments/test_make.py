"""Suites as gymnasium environments: on the toy suite, in this process and in workers."""

import nora_bench
import numpy as np
import pytest
from nora_bench.envs.errors import InputError, PolicyError
from nora_bench.harness.replay.replay import run_actions
from nora_bench.results.store.integrity import read_actions
from nora_bench.results.store.reader import read_run

gymnasium = pytest.importorskip("gymnasium", reason="pip install 'nora-bench[libero]'")

NAME = "fakes:toy/task1"


@pytest.fixture
def make(monkeypatch, tmp_path):
    """`nora_bench.make` of the toy task; closes what it made."""
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "cache"))
    made = []

    def one(name=NAME, **options):
        made.append(nora_bench.make(name, **options))
        return made[-1]

    yield one
    for env in made:
        env.close()


def run_through(env, actions):
    """The last result of `step`."""
    for action in actions:
        result = env.step(action)
    return result


@pytest.mark.filterwarnings("ignore:.*render:UserWarning", "ignore:.*infinity:UserWarning", "ignore:.*Box:UserWarning")
@pytest.mark.parametrize("options", [{}, {"worker": True}, {"chunk": 3}, {"cameras": ()}])
def test_gymnasiums_own_check_passes(make, options):
    from gymnasium.utils.env_checker import check_env

    check_env(make(**options), skip_render_check=True)


@pytest.mark.parametrize("worker", [False, True])
def test_stored_actions_give_the_stored_trajectory(make, bench, worker):
    run = read_run(bench("--tasks", 1, "--init-states", "2").folder)
    (record,) = run.records
    env = make(worker=worker)
    env.reset(options={"init_state": 2})
    *_, terminated, truncated, info = run_through(env, read_actions(run, record))
    assert (terminated, truncated, info["is_success"], info["steps"]) == (True, False, True, record.steps)
    assert (info["key"], info["trajectory_sha256"]) == (record.key, record.trajectory_sha256)


def test_images_of_every_step_change_no_trajectory(make):
    hashes = []
    for cameras in ((), ("primary",)):
        env = make(cameras=cameras)
        env.reset(seed=4)
        hashes.append(run_through(env, np.zeros((20, 1)))[-1]["trajectory_sha256"])
    assert len(set(hashes)) == 1


def test_seed_numbers_the_initial_states_and_then_the_repetitions(make):
    env = make()
    assert [env.reset(seed=seed)[1]["key"].partition("@")[0] for seed in (0, 9, 10)] == [
        "toy/task1/init0/seed0",
        "toy/task1/init9/seed0",
        "toy/task1/init0/seed1",
    ]


def test_unseeded_resets_repeat_after_the_same_seed(make):
    env, sequences = make(), []
    for _ in range(2):
        env.reset(seed=7)
        sequences.append([env.reset()[1]["key"] for _ in range(5)])
    assert sequences[0] == sequences[1]
    assert len(set(sequences[0])) > 1


def test_option_names_the_episode(make):
    _, info = make().reset(options={"init_state": 3, "seed": 2, "init_set": "fresh"})
    assert info["key"] == "toy/task1/fresh3/seed2@toy/plain"


@pytest.mark.parametrize("options", [{"state": 1}, {"init_state": 10}, {"init_state": -1}, {"seed": 0.5}, {"init_set": "a"}])
def test_wrong_option_is_rejected(make, options):
    with pytest.raises(InputError):
        make().reset(options=options)


def test_budget_truncates_without_reward(make):
    env = make()
    env.reset(seed=0)
    _, reward, terminated, truncated, info = run_through(env, np.ones((20, 1)))
    assert (reward, terminated, truncated, info["steps"], info["is_success"]) == (0.0, False, True, 20, False)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.ones(1))


def test_observation_after_the_last_step_is_current(make):
    env = make()
    start = env.reset(seed=0)[0]["proprio"]["position"][0]
    assert run_through(env, np.ones((20, 1)))[0]["proprio"]["position"][0] == start + 20


def test_success_after_the_last_step_counts_under_that_rule(make):
    env = make(protocol="toy/last-step")
    start = env.reset(seed=0)[0]["proprio"]["position"][0]
    _, reward, terminated, truncated, info = run_through(env, [[-start]] + [[0.0]] * 19)
    assert (reward, terminated, truncated, info["is_success"]) == (1.0, False, True, True)


def test_chunk_is_executed_as_one_action(make, bench):
    env = make(chunk=4)
    start = int(env.reset(seed=0)[0]["proprio"]["position"][0])
    assert env.action_space.shape == (4, 1)
    calls = -(-start // 4)
    *_, terminated, _, info = run_through(env, np.full((calls, 4, 1), -1.0))
    assert (terminated, info["steps"]) == (True, start)


def test_reset_in_mid_episode_abandons_it_in_a_worker_too(make):
    env = make(worker=True)
    first = env.reset(seed=1)[0]
    env.step(np.ones(1))
    again = env.reset(seed=1)[0]
    assert again["proprio"]["position"] == first["proprio"]["position"]


@pytest.mark.parametrize(
    "action", [np.ones(2), np.array([np.nan]), np.ones((2, 2)), np.ones((2, 1)), "x", np.ones(1) * 1j, [[0.0], [0.0, 1.0]]]
)
def test_wrong_action_is_rejected(make, action):
    env = make()
    env.reset(seed=0)
    with pytest.raises(PolicyError):
        env.step(action)


def test_chunk_of_more_steps_than_declared_is_rejected(make):
    env = make(chunk=4)
    env.reset(seed=0)
    with pytest.raises(PolicyError, match="chunk=5"):
        env.step(np.ones((5, 1)))


@pytest.mark.parametrize("options", [[1], "init_state", 5])
def test_options_that_are_no_dictionary_are_rejected(make, options):
    with pytest.raises(InputError):
        make().reset(options=options)


@pytest.mark.parametrize("worker", [False, True])
def test_closed_environment_states_that_it_is_closed(make, worker):
    env = make(worker=worker)
    env.close()
    env.close()
    for use in (lambda: env.step(np.ones(1)), env.reset):
        with pytest.raises(gymnasium.error.ClosedEnvironmentError):
            use()


@pytest.mark.parametrize("count", [0, 1.5, "2", None])
def test_number_of_environments_that_is_no_count_is_rejected(count):
    with pytest.raises(InputError):
        nora_bench.make_vec(NAME, count)


def test_cameras_unknown_to_lerobot_keep_their_names(make, monkeypatch):
    import fakes

    monkeypatch.setattr(fakes.ToySuite, "cameras", ("primary", "side"), raising=False)
    observation, _ = make(layout="lerobot").reset(seed=0)
    assert list(observation["pixels"]) == ["image", "side"]


def test_environment_that_fails_at_its_first_reset_ends_its_worker(make, trouble):
    import psutil
    from nora_bench.envs.base import SimulationError

    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(SimulationError) as caught:
        make(worker=True, assets=str(trouble({"kind": "raise", "phase": "reset"})))
    assert caught.value is not None  # whose traceback keeps the session alive
    assert not [child for child in psutil.Process().children(recursive=True) if child not in before]


def test_variant_has_its_own_instruction(make):
    env = make("fakes:toy_looks/task0/green")
    assert env.reset(seed=3)[1]["instruction"] == "go home through the green door"
    assert make("fakes:toy_looks/task0").reset(seed=25)[1]["key"] == "toy_looks/task0/blue/init5/seed0@toy/plain"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fakes:toy", {}),
        ("fakes:toy/task9", {}),
        ("fakes:toy/task1/blue", {}),
        ("libero/task1", {}),
        (NAME, {"cameras": ("side",)}),
        (NAME, {"chunk": 0}),
        (NAME, {"max_steps": 0}),
        (NAME, {"layout": "rows"}),
        (NAME, {"image_size": -1}),
        (NAME, {"protocol": "libero/openvla"}),
        (NAME, {"init_set": "frsh"}),
        (NAME, {"chunk": 10**9}),
        (NAME, {"image_size": 10**6}),
        (NAME, {"cameras": "primary"}),
        (NAME, {"render_mode": "human"}),
        ("fakes:toy/task" + "9" * 5000, {}),
        (3, {}),
    ],
)
def test_wrong_name_or_option_is_rejected(make, name, options):
    with pytest.raises(InputError):
        make(name, **options)


def test_lost_worker_is_an_error_that_names_the_episode(make, trouble):
    from nora_bench.envs.base import SimulationError

    env = make(worker=True, assets=str(trouble({"kind": "kill", "phase": "step"})))
    env.reset(seed=0)
    with pytest.raises(SimulationError, match="toy/task1/init0/seed0@toy/plain"):
        env.step(np.ones(1))


@pytest.mark.parametrize("asynchronous", [False, True])
def test_vector_environment_steps_all_of_its_environments(monkeypatch, tmp_path, asynchronous):
    monkeypatch.setenv("NORA_BENCH_HOME", str(tmp_path / "cache"))
    envs = nora_bench.make_vec(NAME, 2, asynchronous=asynchronous)
    observations, infos = envs.reset(seed=[3, 5])
    assert list(infos["key"]) == ["toy/task1/init3/seed0@toy/plain", "toy/task1/init5/seed0@toy/plain"]
    moved = envs.step(np.array([[1.0], [2.0]]))[0]
    assert (moved["proprio"]["position"] - observations["proprio"]["position"]).ravel().tolist() == [1.0, 2.0]
    envs.close()


def test_rollouts_of_runs_observe_nothing_after_the_last_step():
    from fakes import PROTOCOLS, ToyEnv
    from nora_bench.envs.base import EpisodeSpec, ObservationSpec

    env = ToyEnv()
    run_actions(env, EpisodeSpec("toy", 1, 2, 0, "toy/plain"), PROTOCOLS["toy/plain"], ObservationSpec(), np.ones((20, 1)))
    assert env.looks[-1] is False

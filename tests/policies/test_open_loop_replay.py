"""The blind policy replays another initial state's actions and never looks."""

from dataclasses import replace

import numpy as np
import pytest
from nora_bench.envs import protocols
from nora_bench.envs.base import EnvObservation, EpisodeSpec, ObservationSpec
from nora_bench.envs.errors import PolicyError
from nora_bench.policies.base import Observation, PolicyContext
from nora_bench.policies.open_loop_replay import OpenLoopReplay, from_run, packaged, write

from ..fakes import episode_line

EXPERT = {state: np.full((6, 7), float(state)) for state in (3, 4)}


@pytest.fixture
def run(tmp_path):
    """A run of two successful episodes and a failed one of libero_goal task 1."""
    lines = []
    for state, success in ((3, True), (4, True), (5, False)):
        np.save(tmp_path / f"{state}.npy", EXPERT.get(state, np.zeros((6, 7))))
        spec = EpisodeSpec("libero_goal", 1, state, 0, "libero/openvla")
        lines.append(episode_line(spec, success=success, actions=f"{state}.npy"))
    (tmp_path / "episodes.jsonl").write_text("".join(lines))
    return tmp_path


def observation(init_state, step=0, task=1):
    spec = EpisodeSpec("libero_goal", task, init_state, 0, "libero/openvla")
    return Observation(spec, 0, step, "", EnvObservation())


def blind(run):
    policy = OpenLoopReplay(run)
    policy.setup(PolicyContext(protocols.get("libero/openvla"), ("libero_goal",), 7))
    return policy


def test_fresh_initial_state_is_another_one_than_the_published_of_that_number(run):
    seen = observation(3)
    seen = replace(seen, spec=replace(seen.spec, init_set="fresh"))
    assert blind(run).act([seen])[0].actions[0, 0] == 3


@pytest.mark.parametrize(("init_state", "replayed"), [(0, 3), (3, 4), (4, 3)])
def test_the_actions_are_those_of_another_initial_state(run, init_state, replayed):
    chunk = blind(run).act([observation(init_state)])[0]
    assert np.array_equal(chunk.actions, EXPERT[replayed])


def test_it_goes_on_where_a_protocol_cut_its_chunk(run):
    assert len(blind(run).act([observation(0, step=4)])[0].actions) == 2


def test_after_the_recording_it_stands_still_and_keeps_the_gripper(run):
    assert blind(run).act([observation(0, step=6)])[0].actions.tolist() == [[0, 0, 0, 0, 0, 0, 3.0]]


def test_failed_episodes_are_not_replayed(run):
    assert sorted(from_run(run)["libero_goal", 1]) == ["3", "4"]


def test_a_task_without_recordings_says_how_to_make_them(run):
    with pytest.raises(PolicyError, match="--policy scripted"):
        blind(run).act([observation(0, task=2)])


def test_it_asks_for_nothing_to_look_at(run):
    assert blind(run).observation_spec == ObservationSpec()


def test_recordings_survive_packaging(run, tmp_path, monkeypatch):
    write(from_run(run), tmp_path / "blind_actions.npz")
    monkeypatch.setattr("nora_bench.policies.open_loop_replay.files", lambda package: tmp_path)
    assert {state: actions.tolist() for state, actions in packaged()["libero_goal", 1].items()} == {
        str(state): actions.tolist() for state, actions in EXPERT.items()
    }


def test_every_task_of_the_four_suites_is_packaged_with_two_initial_states():
    from nora_bench.envs import suites

    tasks = {(name, task.id) for name in suites.LIBERO for task in suites.get(name).tasks}
    assert {task: sorted(states) for task, states in packaged().items()} == {task: ["48", "49"] for task in tasks}


def test_states_are_packaged_by_number(tmp_path):
    write({("libero_goal", 1): {name: np.zeros((1, 7)) for name in ("fresh3", "10", "9")}}, tmp_path / "actions.npz")
    with np.load(tmp_path / "actions.npz") as archive:
        assert archive.files == [f"libero_goal/1/{name}" for name in ("9", "10", "fresh3")]

from dataclasses import replace

import numpy as np
import pytest
from nora_bench.envs import protocols
from nora_bench.envs.base import EnvObservation, EpisodeSpec
from nora_bench.envs.errors import PolicyError
from nora_bench.policies.adapters import Adapter, Ensemble, NormStats, StickyGripper, rotation_vectors
from nora_bench.policies.base import Observation

OPENVLA = protocols.get("libero/openvla")
NORA = protocols.get("libero/nora")
SIMPLER = replace(OPENVLA, name="simpler/test", family="simpler", gripper="widowx")
SPATIAL_X = (-0.7454732114076613, 0.9375)
STATS = NormStats(np.r_[SPATIAL_X[0], -np.ones(5), 0], np.r_[SPATIAL_X[1], np.ones(5), 1], np.r_[np.ones(6), 0].astype(bool))


def seen(step=0, decision=0, protocol=OPENVLA, task=0):
    return Observation(EpisodeSpec("libero_spatial", task, 0, 0, protocol.name), decision, step, "do it", EnvObservation())


def chunk(*grippers, x=0.0):
    return np.array([[x, 0, 0, 0, 0, 0, gripper] for gripper in grippers], float)


def test_a_normalised_zero_is_the_middle_of_the_range_and_not_stillness():
    assert Adapter(OPENVLA).actions(seen(), chunk(1.0), STATS)[0, 0] == pytest.approx(0.096, abs=1e-3)


@pytest.mark.parametrize(
    "protocol, opening, command",
    [
        (OPENVLA, 1.0, -1),
        (OPENVLA, 0.51, -1),
        (OPENVLA, 0.49, 1),
        (OPENVLA, 0.0, 1),
        (NORA, 1.0, -1),
        (NORA, 0.02, -1),
        (NORA, 0.0, 1),
        (NORA, -0.3, 1),
        (SIMPLER, 0.51, 1),
        (SIMPLER, 0.5, -1),
        (replace(OPENVLA, gripper="env"), 0.3, 0.3),
    ],
)
def test_gripper_conventions_have_their_published_thresholds(protocol, opening, command):
    assert Adapter(protocol).actions(seen(protocol=protocol), chunk(opening), STATS)[0, -1] == command


def test_a_sticky_gripper_holds_a_change_for_fifteen_steps():
    sticky = StickyGripper()
    assert [sticky.step(opening) for opening in (1.0, 0.7)] == [0.0, pytest.approx(0.3)]
    held = [sticky.step(0.0) for _ in range(15)]
    assert held == [1.0] * 15
    assert sticky.step(0.2) == pytest.approx(-0.2)


def test_a_command_is_held_for_as_many_steps_as_the_protocol_says():
    sticky = StickyGripper(steps=10)
    assert [sticky.step(opening) for opening in [1.0, *[0.0] * 11]] == [0.0, *[1.0] * 10, 0.0]


@pytest.mark.parametrize("follows, sent", [(False, 0.6), (True, 0.3)])
def test_a_slow_change_triggers_only_where_changes_are_measured_from_the_last_trigger(follows, sent):
    sticky = StickyGripper(follows=follows)
    assert [sticky.step(opening) for opening in (1.0, 0.7, 0.4)][-1] == pytest.approx(sent)
    assert bool(sticky.steps_left) is not follows


def test_a_sticky_gripper_ignores_changes_while_it_holds():
    sticky = StickyGripper()
    assert [sticky.step(opening) for opening in (1.0, 0.0, 1.0)] == [0.0, 1.0, 1.0]


def test_an_ensemble_weighs_each_newer_chunk_by_e_to_the_minus_temperature():
    ensemble = Ensemble(chunks=5, temperature=-0.8)
    ensemble.add(0, np.array([[0.0], [1.0], [2.0]]), 1)
    old, new = 1.0, 5.0
    wanted = (old + np.exp(0.8) * new) / (1 + np.exp(0.8))
    assert ensemble.add(1, np.array([[new], [0.0], [0.0]]), 1)[0, 0] == pytest.approx(wanted)


def test_an_ensemble_forgets_chunks_that_are_too_old_or_too_short():
    ensemble = Ensemble(chunks=2, temperature=0.0)
    for step, value in enumerate([100.0, 2.0, 4.0]):
        out = ensemble.add(step, np.full((3, 1), value), 1)
    assert out == 3.0
    assert ensemble.add(9, np.full((3, 1), 7.0), 1) == 7.0


def test_an_episode_that_starts_anew_has_an_empty_ensemble():
    protocol = replace(SIMPLER, ensemble={"chunks": 5, "temperature": -0.8}, replan_steps=1)
    adapter = Adapter(protocol)
    first = adapter.actions(seen(0, 0, protocol), chunk(1, 1, x=0.5), STATS)
    adapter.actions(seen(1, 1, protocol), chunk(1, 1, x=-0.5), STATS)
    assert np.array_equal(adapter.actions(seen(0, 0, protocol), chunk(1, 1, x=0.5), STATS), first)


def test_changed_instruction_starts_a_new_ensemble():
    protocol = replace(SIMPLER, ensemble={"chunks": 5, "temperature": -0.8}, replan_steps=1)
    adapter, fresh = Adapter(protocol), Adapter(protocol)
    adapter.actions(seen(0, 0, protocol), chunk(1, 1, x=-0.5), STATS)
    changed = replace(seen(1, 1, protocol), instruction="place apple into top drawer")
    assert np.array_equal(adapter.actions(changed, chunk(1, 1, x=0.5), STATS), fresh.actions(changed, chunk(1, 1, x=0.5), STATS))


def test_episodes_do_not_share_an_ensemble():
    protocol = replace(SIMPLER, ensemble={"chunks": 5, "temperature": -0.8}, replan_steps=1)
    together, alone = Adapter(protocol), Adapter(protocol)
    together.actions(seen(0, 0, protocol, task=1), chunk(1, 1, x=-1.0), STATS)
    a = together.actions(seen(0, 0, protocol, task=2), chunk(1, 1, x=0.5), STATS)
    assert np.array_equal(a, alone.actions(seen(0, 0, protocol, task=2), chunk(1, 1, x=0.5), STATS))


def test_no_more_steps_are_returned_than_will_be_executed():
    assert len(Adapter(replace(OPENVLA, replan_steps=2)).actions(seen(), chunk(1, 1, 1, 1, 1), STATS)) == 2


def test_delayed_answers_are_whole_chunks():
    late = replace(seen(), committed=np.empty((0, 7)))
    assert len(Adapter(replace(OPENVLA, replan_steps=2)).actions(late, chunk(1, 1, 1, 1, 1), STATS)) == 5


def test_delayed_answers_under_ensembling_are_the_steps_that_are_known():
    protocol = replace(SIMPLER, ensemble={"chunks": 5, "temperature": -0.8}, replan_steps=1)
    late = replace(seen(protocol=protocol), committed=np.empty((0, 7)))
    assert len(Adapter(protocol).actions(late, chunk(1, 1, 1), STATS)) == 1


def test_simplerenv_takes_rotations_as_axis_times_angle():
    np.testing.assert_allclose(rotation_vectors(np.array([[0.0, 0.0, 0.3]])), [[0, 0, 0.3]], atol=1e-12)
    # Half turns about fixed x, then fixed y, are a half turn about z.
    np.testing.assert_allclose(np.abs(rotation_vectors(np.array([[np.pi, np.pi, 0.0]]))), [[0, 0, np.pi]], atol=1e-9)


@pytest.mark.parametrize("change, complaint", [({"gripper": "bent"}, "'bent'"), ({"ensemble": {"age": 3}}, "'age'")])
def test_a_protocol_that_asks_for_the_unknown_is_refused(change, complaint):
    with pytest.raises(PolicyError, match=complaint):
        Adapter(replace(OPENVLA, **change))

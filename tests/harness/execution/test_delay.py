"""Delayed answers: what is executed until a chunk arrives, which of its actions come first, and facts of an episode."""

import numpy as np
import pytest
from fakes import ToyEnv, protocol, start_of
from nora_bench.envs.base import EpisodeSpec, ObservationSpec
from nora_bench.envs.errors import InputError
from nora_bench.envs.libero.suite import LiberoSuite
from nora_bench.envs.protocols import get as get_protocol
from nora_bench.envs.simpler.suite import SimplerSuite, WidowXSuite
from nora_bench.envs.specs import ActionDim
from nora_bench.harness.execution.delay import DelayedAnswers
from nora_bench.harness.execution.rollout import DecisionPoint, Rollout
from nora_bench.harness.planning.latency import Delay, control_steps, delay_of, still_action
from nora_bench.policies.base import ActionChunk

SPEC = EpisodeSpec("toy", 0, 0, 0, "toy/plain", perturbation="latency-100ms")


def answers(*steps, hold=False, replan=4):
    """Delayed answers of two numbers: a motion, and a gripper that a hold keeps."""
    return DelayedAnswers(Delay(steps, hold, (0.0, -1.0), (1,), replan, 20.0), SPEC)


def plan(first, length=8, gripper=1.0):
    """A chunk whose motions are numbered from `first`."""
    return np.array([[first + number, gripper] for number in range(length)])


def motions(actions):
    return actions[:, 0].tolist()


def test_robot_holds_with_open_gripper_before_the_first_answer():
    assert answers(3).committed().tolist() == [[0.0, -1.0]] * 3


def test_late_chunk_after_a_hold_starts_with_its_first_action():
    late = answers(3)
    late.committed()
    assert motions(late.due(plan(1))) == [0, 0, 0, 1, 2, 3, 4]


def test_rest_of_the_chunk_before_is_executed_and_as_many_stale_actions_are_dropped():
    late = answers(2)
    late.committed()
    late.due(plan(1))
    assert motions(late.committed()) == [5, 6]  # the first chunk's actions after its first four
    assert motions(late.due(plan(101))) == [5, 6, 103, 104]


def test_robot_holds_where_the_chunk_before_has_no_more_actions():
    late = answers(3)
    late.committed()
    late.due(plan(1, length=5))
    committed = late.committed()
    assert committed.tolist() == [[5, 1], [0, 1], [0, 1]]  # the gripper stays closed
    assert motions(late.due(plan(101)))[3:] == [102, 103, 104]  # only one step of the plan was executed meanwhile


def test_hold_drops_nothing():
    late = answers(2, hold=True)
    late.committed()
    late.due(plan(1))
    assert motions(late.committed()) == [0, 0]
    assert motions(late.due(plan(101))) == [0, 0, 101, 102, 103, 104]


def test_at_least_one_action_of_a_late_chunk_is_executed():
    late = answers(3)
    late.committed()
    late.due(plan(1))
    late.committed()
    assert motions(late.due(plan(101, length=2)))[3:] == [102]


def test_measured_delays_depend_on_the_decision_and_repeat():
    def waits():
        late, found = answers(*range(10)), []
        for _ in range(6):
            found.append(len(late.committed()))
            late.due(plan(1))
        return found

    assert waits() == waits()
    assert len(set(waits())) > 1


def rollout(delay, budget=30, **changes):
    delayed = DelayedAnswers(delay, SPEC) if delay else None
    return Rollout(ToyEnv(), SPEC, protocol(**changes), ObservationSpec(), budget, delayed)


def run(delay, chunk, **changes):
    """The outcome of an episode whose policy always returns the same chunk."""
    episode = rollout(delay, **changes)
    event = episode.start()
    while isinstance(event, DecisionPoint):
        event = episode.execute(ActionChunk(np.array(chunk, float).reshape(-1, 1)))
    return event


def toy_delay(steps, hold=False, replan=None):
    return Delay((steps,), hold, (0.0,), (), replan, 20.0)


@pytest.mark.parametrize("rule", ["any_step", "chunk_end", "last_step"])
@pytest.mark.parametrize("hold", [False, True])
def test_zero_delay_changes_no_state(rule, hold):
    chunk = [-1.0, -1.0, 0.5, -0.5, -1.0]
    plain = run(None, chunk, success=rule, replan_steps=3)
    late = run(toy_delay(0, hold, replan=3), chunk, success=rule, replan_steps=3)
    assert late.trajectory_sha256 == plain.trajectory_sha256
    assert (late.steps, late.success) == (plain.steps, plain.success)
    assert (late.latency["delay_steps"], late.latency["stale"], late.latency["held"]) == (0, 0, 0)


def test_waiting_counts_against_the_budget():
    start = start_of(SPEC)
    assert run(toy_delay(2), [-1.0] * 20).steps == start + 2
    assert not run(toy_delay(2), [-1.0] * 20, budget=start + 1).success


def test_facts_count_held_and_stale_steps():
    outcome = run(toy_delay(1, replan=2), [0.5] * 4, budget=10)  # 1 held; then decisions every two steps, each with one stale
    assert outcome.latency["held"] == pytest.approx(0.1)
    assert outcome.latency["stale"] == pytest.approx(0.4)
    assert outcome.latency["delay_steps"] == 1
    assert outcome.latency["control_hz"] == 20


def test_delay_is_rounded_up_to_control_steps():
    assert [control_steps(ms, 20.0) for ms in (0, 1, 50, 51, 100, 150)] == [0, 1, 1, 2, 2, 3]
    assert [control_steps(100, hz) for hz in (3.0, 5.0)] == [1, 1]
    assert control_steps(1000.0, 3.0) == 3


def test_delay_of_an_episode_follows_its_level():
    suite, rules = LiberoSuite("libero_goal"), get_protocol("libero/nora")
    spec = EpisodeSpec("libero_goal", 0, 0, 0, "libero/nora", perturbation="latency-100ms-hold")
    delay = delay_of(spec, suite, rules, None, ())
    assert (delay.steps, delay.hold, delay.replan_steps) == ((2,), True, 5)
    assert delay_of(spec.control, suite, rules, None, ()) is None
    measured = EpisodeSpec("libero_goal", 0, 0, 0, "libero/nora", perturbation="latency-measured")
    assert delay_of(measured, suite, rules, 3, [10.0, 60.0]).steps == (1, 2)
    assert delay_of(measured, suite, rules, 3, [10.0]).replan_steps == 3


def test_hold_keeps_the_grippers_of_the_suites():
    assert still_action(LiberoSuite("libero_goal"), get_protocol("libero/openvla")) == ((0.0,) * 6 + (-1.0,), (6,))
    assert still_action(WidowXSuite("simpler-widowx", "WidowX"), get_protocol("simpler/widowx")) == ((0.0,) * 6 + (1.0,), (6,))
    relative = still_action(SimplerSuite("simpler-vm", "VM"), get_protocol("simpler/nora-1.5"))
    assert relative == ((0.0,) * 7, ())  # a change of the joint targets: zero keeps them


def test_absolute_poses_cannot_be_held_before_the_first_answer():
    with pytest.raises(InputError, match="absolute"):
        still_action(WidowXSuite("simpler-widowx", "WidowX"), get_protocol("simpler/widowx-x-vla"))


class Members:
    name, control_hz = "own", 20.0

    def __init__(self, *dims):
        self.action_spec = dims


@pytest.mark.parametrize("dims", [(), (ActionDim("x", "m", "world"),), (ActionDim("dx"), ActionDim("gripper"))])
def test_suite_that_does_not_declare_a_hold_is_rejected(dims):
    with pytest.raises(InputError, match="own"):
        still_action(Members(*dims), protocol())

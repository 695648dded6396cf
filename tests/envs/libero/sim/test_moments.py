"""Scripted motions in LIBERO that fail in one way each, and the class that the rules give."""

import numpy as np
import pytest
from nora_bench.envs import protocols, suites
from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
from nora_bench.envs.moments import features
from nora_bench.envs.paths import ensure_cache_home
from nora_bench.results.failures.rules import rule_set

from .plain_moments import read_plainly

pytestmark = pytest.mark.libero

OPEN, CLOSE = -1.0, 1.0


@pytest.fixture(scope="module")
def env():
    pytest.importorskip("libero", reason="nora-bench doctor --fix")
    suite = suites.get("libero_goal")
    options = EnvOptions(suites.resolve_assets(suite, "standin").path, "none", str(ensure_cache_home()))
    made = suite.make_env(options)
    yield made
    made.close()


class Hand:
    """Moves the gripper in task 1, put the bowl on the stove; records each step."""

    def __init__(self, env):
        self.env, protocol = env, protocols.get("libero/openvla")
        env.reset(EpisodeSpec("libero_goal", 1, 0, 0, protocol.name), protocol, ObservationSpec())
        self.moments, self.grip = [env.moment()], OPEN
        self.bowl = env.roles().objects.index("akita_black_bowl_1")

    @property
    def rim(self):
        """Where the bowl's rim is grasped: 4 cm beside its centre."""
        return self.moments[-1].poses[self.bowl, :3] + [0, 0.04, 0.025]

    def act(self, move, steps=1):
        for _ in range(steps):
            self.env.step(np.array([*np.clip(move, -1, 1), 0, 0, 0, self.grip]), observe=False)
            self.moments.append(self.env.moment())

    def go(self, place, steps=60):
        for _ in range(steps):
            away = np.asarray(place) - self.moments[-1].gripper
            if np.linalg.norm(away) < 0.01:
                break
            self.act(away / 0.05)

    def grasp(self, place=None):
        place = self.rim if place is None else place
        self.go(place + np.array([0, 0, 0.1]))
        self.go(place)
        self.grip = CLOSE
        self.act([0, 0, 0], 10)
        self.lift()

    def lift(self):
        self.go(self.moments[-1].gripper + np.array([0, 0, 0.15]), 40)

    def drop(self):
        self.grip = OPEN
        self.act([0, 0, 0], 15)

    @property
    def kind(self):
        return rule_set().classify(features(self.env.roles(), self.moments))


def stop_above(hand):
    hand.go(hand.rim + np.array([0, 0, 0.2]))


def touch_and_leave(hand):
    hand.go(hand.rim + np.array([0, 0, 0.1]))
    hand.go(hand.rim - [0, 0, 0.01])
    hand.go(hand.rim + np.array([0, 0, 0.25]))


def hold_it(hand):
    hand.grasp()
    hand.act([0, 0, 0], 40)


def open_in_mid_air(hand):
    hand.grasp()
    hand.drop()


def put_beside(hand):
    place = hand.moments[0].gripper.copy()
    hand.grasp()
    hand.go([place[0], hand.moments[-1].gripper[1], hand.moments[-1].gripper[2]])
    hand.go([*hand.moments[-1].gripper[:2], hand.moments[-1].gripper[2] - 0.15])
    hand.drop()


@pytest.mark.parametrize(
    ("motion", "kind"),
    [
        (stop_above, "never_reached"),
        (touch_and_leave, "reached_not_grasped"),
        (hold_it, "carried_not_released"),
        (open_in_mid_air, "grasped_and_lost"),
        (put_beside, "released_beside"),
    ],
)
def test_scripted_failure_gets_its_class(env, motion, kind):
    hand = Hand(env)
    motion(hand)
    assert hand.kind == kind


def test_reading_moments_changes_no_state(env):
    hand = Hand(env)
    before = env.state()
    env.moment()
    assert np.array_equal(before, env.state())
    assert hand.moments[0].held.tolist() == [False] * len(env.roles().objects)


@pytest.mark.parametrize(("suite", "task"), [("libero_goal", 0), ("libero_goal", 1), ("libero_10", 9), ("libero_object", 2)])
def test_moments_and_features_equal_those_of_a_plain_reader(env, suite, task):
    protocol = protocols.get("libero/openvla")
    env.reset(EpisodeSpec(suite, task, 0, 0, protocol.name), protocol, ObservationSpec())
    fast, plain = [env.moment()], [read_plainly(env.build(suite, task), env.roles(), closing=False)]
    for step in range(45):
        away = fast[-1].poses[0, :3] + [0, 0.03, 0.01] - fast[-1].gripper
        env.step(np.array([*np.clip(away / 0.05, -1, 1), 0, 0, 0, OPEN if step < 30 else CLOSE]), observe=False)
        fast.append(env.moment())
        plain.append(read_plainly(env.build(suite, task), env.roles(), closing=step >= 30))
    for one, other in zip(fast, plain, strict=True):
        for name, value, expected in zip(one._fields, one, other, strict=True):
            if name == "part_distance":  # processors add three squares in different orders
                np.testing.assert_allclose(value, expected, rtol=1e-12)
            else:
                assert np.array_equal(value, expected, equal_nan=name == "targets"), name
    assert any(moment.touched.any() for moment in fast)
    assert features(env.roles(), fast) == features(env.roles(), plain)

"""One class per failed episode, from trajectories that produce each class on purpose."""

import numpy as np
import pytest
from nora_bench.envs.moments import Moment, Roles, Term, features, grasped, longest, tilt
from nora_bench.results.failures.rules import parse, rule_set

ROLES = Roles(("cup", "bottle"), (Term(wanted=0),), bystanders=(1,))
DRAWER = Roles(("cup",), (Term(part=0),), bystanders=(0,))
HOME, CUP, BOTTLE, GOAL = (np.array(place) for place in ([0, 0, 0.3], [0.3, 0, 0.0], [0.0, 0.3, 0.0], [0.3, 0.4, 0.0]))
UP = np.array([1.0, 0, 0, 0])
FALLEN = np.array([np.sqrt(0.5), np.sqrt(0.5), 0, 0])


class Scene:
    """A gripper, a cup to carry to GOAL and a bottle; moves in straight lines of 2 cm per step and records every step."""

    def __init__(self):
        self.gripper, self.closing, self.holds = HOME.copy(), False, None
        self.places = [CUP.copy(), BOTTLE.copy()]
        self.turns = [UP, UP]
        self.touched = [False, False]
        self.goal = False
        self.moments = []
        self.wait(1)

    def wait(self, steps):
        for _ in range(steps):
            held = np.array([self.holds == index for index in range(2)])
            self.moments.append(
                Moment(
                    gripper=self.gripper.copy(),
                    closing=self.closing,
                    poses=np.array([[*place, *turn] for place, turn in zip(self.places, self.turns, strict=True)]),
                    touched=held | self.touched,
                    held=held,
                    goal=np.array([self.goal]),
                    targets=GOAL[None],
                )
            )
        return self

    def go(self, place):
        way = np.asarray(place) - self.gripper
        for _ in range(max(1, round(np.linalg.norm(way) / 0.02))):
            self.gripper = self.gripper + way / max(1, round(np.linalg.norm(way) / 0.02))
            if self.holds is not None:
                self.places[self.holds] = self.gripper.copy()
            self.wait(1)
        return self

    def grasp(self, index):
        self.go(self.places[index])
        self.closing, self.holds = True, index
        return self.wait(5)

    def release(self, *, opens=True):
        self.closing = not opens
        self.places[self.holds][2], self.holds = 0.0, None
        return self.wait(5)

    def topple(self, index):
        self.turns[index], self.touched[index] = FALLEN, True
        self.wait(2)
        self.touched[index] = False
        return self.wait(2)

    def touch(self, index):
        self.touched[index] = True
        self.wait(1)
        self.touched[index] = False
        return self.wait(1)

    @property
    def kind(self):
        return rule_set().classify(features(ROLES, self.moments))


ABOVE = np.array([0, 0, 0.15])
BESIDE = GOAL + np.array([0.06, 0, 0.02])
EPISODES = {
    "never_reached": lambda scene: scene.go(CUP + np.array([0, 0.2, 0.1])).wait(20),
    "reached_not_grasped": lambda scene: scene.go(CUP + np.array([0, 0, 0.03])).touch(0).go(HOME).wait(20),
    "wrong_object": lambda scene: scene.grasp(1).go(BOTTLE + ABOVE).wait(20),
    "grasped_and_lost": lambda scene: scene.grasp(0).go(CUP + ABOVE).release(opens=False).wait(20),
    "carried_not_released": lambda scene: scene.grasp(0).go(CUP + ABOVE).go(GOAL + ABOVE).wait(30),
    "released_beside": lambda scene: scene.grasp(0).go(CUP + ABOVE).go(BESIDE).release().go(HOME).wait(20),
    "knocked_over": lambda scene: scene.go(CUP + np.array([0, 0, 0.05])).topple(0).wait(20),
    "out_of_time": lambda scene: scene.grasp(0).go(CUP + ABOVE).go(CUP + ABOVE + [0, 0.2, 0]),
}


@pytest.mark.parametrize("kind", EPISODES)
def test_trajectory_made_to_fail_in_one_way_gets_that_class(kind):
    assert EPISODES[kind](Scene()).kind == kind


def test_object_opened_in_mid_air_is_lost():
    assert Scene().grasp(0).go(CUP + ABOVE).release().go(HOME).wait(20).kind == "grasped_and_lost"


def test_object_lifted_and_back_near_its_start_is_lost():
    assert Scene().grasp(0).go(CUP + np.array([0.02, 0, 0.04])).go(CUP).release().go(HOME).wait(20).kind == "grasped_and_lost"


def test_goal_that_held_and_no_longer_does_is_undone():
    scene = Scene().grasp(0).go(CUP + ABOVE).go(GOAL)
    scene.goal = True
    scene.release()
    scene.goal = False
    assert scene.grasp(0).go(GOAL + np.array([0.2, 0, 0])).release().wait(10).kind == "done_but_undone"


def test_bystander_knocked_over_on_the_way_is_knocked_over():
    assert Scene().go(BOTTLE).topple(1).go(HOME).wait(20).kind == "knocked_over"


def test_grasp_without_moving_the_object_is_no_grasp_that_was_lost():
    assert Scene().grasp(0).release().go(HOME).wait(20).kind == "reached_not_grasped"


def drawer(travel, touched):
    """Moments of a drawer task: travel (m) per step, touched from the tenth step on if at all."""
    still = Scene().moments[0]
    count = len(travel)
    return [
        still._replace(
            poses=still.poses[:1],
            touched=np.array([False]),
            held=np.array([False]),
            targets=np.full((1, 3), np.nan),
            travel=np.array([travel[step]]),
            part_touched=np.array([touched and step >= 10]),
            part_distance=np.array([0.02 if touched else 0.3]),
        )
        for step in range(count)
    ]


@pytest.mark.parametrize(
    ("travel", "touched", "kind"),
    [
        ([0.0] * 50, False, "never_reached"),
        ([0.0] * 50, True, "reached_not_grasped"),
        ([0.0] * 20 + [0.04] * 30, True, "grasped_and_lost"),
        ([0.0] * 20 + np.linspace(0, 0.1, 30).tolist(), True, "out_of_time"),
    ],
)
def test_drawer_task_is_classified_by_the_drawers_travel(travel, touched, kind):
    assert rule_set().classify(features(DRAWER, drawer(travel, touched))) == kind


def test_focus_is_the_open_term_that_the_robot_dealt_with():
    roles = Roles(("cup", "bottle"), (Term(wanted=0), Term(wanted=1)))
    scene = Scene().grasp(1).go(BOTTLE + ABOVE).wait(20)
    two = [one._replace(goal=np.array([False, False]), targets=np.array([GOAL, GOAL])) for one in scene.moments]
    found = features(roles, two)
    assert found["hold_steps"] > 20
    assert found["wrong_hold_steps"] == 0


def test_features_are_finite_and_small():
    for make in EPISODES.values():
        found = features(ROLES, make(Scene()).moments)
        assert all(np.isfinite(value) for value in found.values())
        assert len(found) < 40


def test_short_contact_with_both_fingers_is_no_grasp():
    assert grasped(np.array([1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0], bool)).tolist() == [False] * 5 + [True] * 3 + [False] * 3


def test_flicker_of_a_contact_does_not_end_a_grasp():
    assert grasped(np.array([0, 1, 1, 0, 1, 0, 0, 1, 0, 0], bool)).tolist() == [False] + [True] * 9


def test_longest_stretch_is_counted():
    assert longest(np.array([1, 1, 0, 1, 1, 1, 0], bool)) == 3


def test_tilt_ignores_turns_about_the_vertical():
    turned = np.array([[1, 0, 0, 0], [np.sqrt(0.5), 0, 0, np.sqrt(0.5)], FALLEN])
    assert tilt(turned).round(3).tolist() == [0.0, 0.0, 90.0]
    assert tilt(turned[::-1]).round(3).tolist() == [0.0, 90.0, 90.0]


@pytest.mark.parametrize(
    "rule",
    [
        {"class": "lost", "when": ["hold_steps >= 3 steps"]},
        {"class": "other", "when": ["hold_steps >= 3"]},
        {"class": "other", "when": ["approach_m >= 3 cm"]},
        {"class": "other", "when": ["losses ~ 3"]},
    ],
)
def test_rule_with_an_unknown_class_operator_or_unit_is_rejected(rule):
    with pytest.raises(ValueError):
        parse({"version": 1, "classes": {"other": ""}, "rules": [rule]})


def test_every_class_but_the_last_has_a_rule():
    rules = rule_set()
    assert {rule.name for rule in rules.rules} == set(rules.classes) - {"other"}
    assert rules.classify({}) == "other"

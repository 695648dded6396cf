"""How the scripted expert moves: by what can be seen alone, exactly, and against resistance, on a toy arm."""

import numpy as np
import pytest
from nora_bench.policies.scripted.geometry import Pose, exp, log, norm
from nora_bench.policies.scripted.motion import MAX_CHANGE, MAX_SPEED, STEP_POSITION, STEP_ROTATION, Controller
from nora_bench.policies.scripted.steps import OPEN, Target


class Arm:
    """Answers a unit action with the real arm's step, reached over two steps."""

    def __init__(self):
        self.pose, self.speed, self.turn = Pose(np.zeros(3), np.eye(3)), np.zeros(3), np.zeros(3)

    def step(self, action):
        self.speed += 0.7 * (action[:3] * STEP_POSITION - self.speed)
        self.turn += 0.7 * (action[3:6] * STEP_ROTATION - self.turn)
        self.pose = Pose(self.pose.position + self.speed, exp(self.turn) @ self.pose.rotation)


def follow(target, steps, arm):
    controller = Controller()
    actions, poses = [], []
    for _ in range(steps):
        actions.append(controller.action(arm.pose, target))
        arm.step(actions[-1])
        poses.append(arm.pose)
    return np.array(actions), poses


@pytest.fixture
def goal():
    return Pose(np.array([0.2, -0.1, 0.15]), exp(np.array([0.0, 0.0, 1.5])))


def test_the_hand_arrives_within_a_millimetre_and_stays(goal):
    _, poses = follow(Target(goal, OPEN), 70, Arm())
    assert max(norm(pose.position - goal.position) for pose in poses[-5:]) < 0.001
    assert norm(log(goal.rotation @ poses[-1].rotation.T)) < 0.01


def test_it_hardly_overshoots(goal):
    _, poses = follow(Target(goal, OPEN), 70, Arm())
    way = goal.position / norm(goal.position)
    assert max((pose.position - goal.position) @ way for pose in poses) < 0.004


def test_actions_stay_in_range_and_change_little_from_step_to_step(goal):
    actions, _ = follow(Target(goal, OPEN), 70, Arm())
    assert np.abs(actions).max() <= 1.0
    assert np.abs(np.diff(actions[:, :6], axis=0)).max() <= MAX_CHANGE + 1e-9


def test_an_action_settles_to_what_hand_and_aim_alone_ask_for(goal):
    """A learner sees where the hand is, not what the expert did before."""
    gripper = Pose(np.array([0.1, 0.0, 0.1]), exp(np.array([0.2, 0.0, 0.0])))
    behind = Target(Pose(-goal.position, goal.rotation), OPEN)
    answers = []
    for before in (0, 20):
        controller = Controller()
        for step in range(before):
            controller.action(Pose(np.array([0.01 * step, 0.0, 0.0]), np.eye(3)), behind)
        answers.append([controller.action(gripper, Target(goal, OPEN)) for _ in range(8)][-1])
    assert answers[0] == pytest.approx(answers[1])


def test_the_last_centimetre_is_slower(goal):
    before = Pose(goal.position - np.array([0.0, 0.0, 0.005]), goal.rotation)
    assert 0.1 < norm(Controller().action(before, Target(goal, OPEN))[:3]) < 0.3
    assert norm(Controller().action(goal, Target(goal, OPEN))[:6]) == 0.0


def test_a_slower_aim_is_followed_more_slowly(goal):
    slow, _ = follow(Target(goal, OPEN, speed=0.3), 20, Arm())
    fast, _ = follow(Target(goal, OPEN), 20, Arm())
    assert np.abs(slow[:, :3]).max() < 0.5 * np.abs(fast[:, :3]).max()


def test_a_held_up_hand_pushes_without_running_away(goal):
    held = Arm()
    controller = Controller()
    for _ in range(60):
        pushing = controller.action(held.pose, Target(goal, OPEN))
    assert norm(pushing[:3]) == pytest.approx(MAX_SPEED / STEP_POSITION)
    for _ in range(12):
        held.step(controller.action(held.pose, Target(Pose(np.zeros(3), np.eye(3)), OPEN)))
    assert norm(held.pose.position) < 0.04

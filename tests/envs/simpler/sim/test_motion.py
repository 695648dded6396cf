"""Jerk-limited plans and the gripper's memory, against upstream's own."""

import numpy as np
import pytest

pytest.importorskip("ruckig", reason="needs the extra [simpler]: pip install '.[simpler]'")
pytest.importorskip("sapien", reason="needs the extra [simpler]: pip install '.[simpler]'")

from nora_bench.envs.base import SimulationError
from nora_bench.envs.simpler.sim.controllers import SUBSTEPS, ArmController, GripperController, MotionPlanner

START = np.zeros(2)


def arm_planner():
    return MotionPlanner(9, velocity=1.5, acceleration=2.0, jerk=50.0)


def test_recorded_plans_are_reproduced_to_the_last_bit(simpler_golden):
    cases = np.load(simpler_golden / "controller_cases.npz")
    planner = arm_planner()
    for case in range(len(cases["plan_start"])):
        plan = planner.plan(*(cases[name][case].tolist() for name in ("plan_start", "plan_init_v", "plan_target")))
        assert plan.duration == cases["plan_duration"][case]
        assert np.array_equal(plan.position, cases["plan_pos"][case])
        assert np.array_equal(plan.velocity, cases["plan_vel"][case])


def test_plan_keeps_its_limits():
    plan = arm_planner().plan([0.0] * 9, [0.0] * 9, [2.0] * 9)
    assert len(plan.position) == SUBSTEPS + 1
    assert np.abs(plan.velocity).max() <= 1.5
    assert np.abs(np.diff(plan.velocity, axis=0) * 513).max() <= 2.0 + 1e-9


def test_target_with_nan_is_rejected():
    with pytest.raises(SimulationError, match="no motion to the joint target"):
        arm_planner().plan([0.0] * 9, [0.0] * 9, [float("nan")] * 9)


def test_arm_plan_starts_at_the_end_of_the_last_plan():
    arm = ArmController()
    first = arm.plan(np.zeros(9), np.zeros(9), np.full(9, 0.5))
    second = arm.plan(np.full(9, -0.3), np.zeros(9), np.full(9, 0.6))
    assert second.position[0] == first.position[-1]
    assert second.velocity[0] == first.velocity[-1]


def test_finger_plan_starts_at_the_measured_positions():
    gripper = GripperController(START)
    gripper.plan(START, START, gripper.target(1.0))
    blocked = np.full(2, 0.4)
    assert gripper.plan(blocked, START, gripper.target(0.0)).position[0] == blocked.tolist()


def test_zero_command_continues_closing():
    gripper = GripperController(START)
    target = gripper.target(1.0)
    gripper.plan(START, START, target)
    assert np.array_equal(gripper.target(0.0), target)


def test_small_command_replaces_the_last_target():
    gripper = GripperController(START)
    gripper.plan(START, START, gripper.target(1.0))
    reached = gripper.plan(START, START, gripper.target(0.0)).position[-1]
    assert gripper.target(0.05) == pytest.approx(np.array(reached) + 0.05 * 1.31)


@pytest.mark.parametrize(("command", "target"), [(2.0, 1.31), (-2.0, -0.0101)])
def test_targets_stay_within_the_fingers_range(command, target):
    assert GripperController(START).target(command) == pytest.approx([target] * 2)

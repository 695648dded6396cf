"""robosuite's operational-space controller and its 25-substep control step, bit for bit, without its overhead.

robosuite computes MuJoCo's position and velocity stages three times per substep for one and the same state: in the
environment's `forward`, in the controller's, and in `mj_step`. Only the constraint solver may not be left out, because
each solution starts the next one. So one substep here is: stages once (`mj_step1`, actuation, acceleration), solver
for the environment's forward, solver for the controller's, torques, `mj_step2` (solver and integration). The states
are the same to the bit (tests/envs/libero/sim/test_osc.py compares them with robosuite's own).

Controller: OSC_POSE, fixed impedance kp 150, damping ratio 1, position and orientation uncoupled, null-space posture
kp 10. Expressions keep robosuite's order and memory layouts, on which the last bits depend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from robosuite.utils import transform_utils
from robosuite.utils.control_utils import nullspace_torques, opspace_matrices, orientation_error

from .memory import mujoco

SUBSTEPS = 25
"""Physics steps of 2 ms in a control step of 50 ms (20 Hz)."""
GRIPPER_SPEED = 0.01
"""Change of the gripper command per substep; from open to closed in 8 control steps."""
POSITION_SCALE = 0.05
ROTATION_SCALE = 0.5


class ArmState(NamedTuple):
    """State of the arm for the controller: grip site pose and velocity (world frame), joints, Jacobians, inertia."""

    position: np.ndarray
    orientation: np.ndarray
    velocity: np.ndarray
    turning: np.ndarray
    joints: np.ndarray
    joint_speeds: np.ndarray
    jac_pos: np.ndarray
    jac_ori: np.ndarray
    jac: np.ndarray
    mass: np.ndarray


class OscArm:
    """Drives the Panda arm of one built task. One instance per model; `reset` before each episode."""

    def __init__(self, model: Any, data: Any, robot: Any) -> None:
        """Take indices and limits from a robosuite robot that has been reset once.

        Args:
            model, data: MuJoCo's own objects.
            robot: robosuite `SingleArm` over the same data.
        """
        self.model, self.data = model, data
        self.site = model.site(robot.gripper.important_sites["grip_site"]).id
        self.qpos = _slice(robot._ref_joint_pos_indexes)
        self.qvel = _slice(robot._ref_joint_vel_indexes)
        self.arm = _slice(robot._ref_joint_actuator_indexes)
        self.fingers = [int(i) for i in robot._ref_joint_gripper_actuator_indexes]
        self.low, self.high = robot.torque_limits
        limits = model.actuator_ctrlrange[self.fingers]
        self.finger_bias = (0.5 * (limits[:, 1] + limits[:, 0])).tolist()
        self.finger_weight = (0.5 * (limits[:, 1] - limits[:, 0])).tolist()
        self.scale = np.array([POSITION_SCALE] * 3 + [ROTATION_SCALE] * 3)
        self.jac_pos = np.zeros((3, model.nv))
        self.jac_ori = np.zeros((3, model.nv))
        self.mass = np.zeros((model.nv, model.nv))
        self.wrench = np.zeros(6)
        self.reset(robot.controller)

    def reset(self, controller: Any) -> None:
        """Take goal, posture and knowledge from robosuite's freshly made controller; nothing stays of the last episode.

        robosuite's controller looks at the arm when it is made, before the initial state is set, and not again at
        its first substep. So the first substep of an episode acts on the start pose; published runs include that.
        """
        c = controller
        self.kp, self.kd = np.array(c.kp), np.array(c.kd)
        self.posture = np.array(c.initial_joint)
        self.goal_pos, self.goal_ori = np.array(c.goal_pos), np.array(c.goal_ori)
        self.grip = [0.0, 0.0]
        seen = (c.ee_pos, c.ee_ori_mat, c.ee_pos_vel, c.ee_ori_vel, c.joint_pos, c.joint_vel)
        self.stale: ArmState | None = ArmState(*seen, c.J_pos, c.J_ori, c.J_full, c.mass_matrix)

    def start_from_state(self) -> None:
        """Take goal and posture from the present state, as a controller that is made there would."""
        data = self.data
        self.posture = data.qpos[self.qpos].copy()
        self.goal_pos, self.goal_ori = data.site_xpos[self.site].copy(), data.site_xmat[self.site].reshape(3, 3).copy()
        self.stale = None

    def resume(self, grip: float) -> None:
        """Take the goal from the present state and the fingers' running command as given (-1 open, 1 closed)."""
        posture = self.posture
        self.start_from_state()
        self.posture, self.grip = posture, [-grip, grip]

    def substep(self, action: np.ndarray, *, first: bool) -> None:
        """Advance the world by 2 ms under `action` [7]; goals are set at the first substep of a control step."""
        model, data = self.model, self.data
        mujoco.mj_step1(model, data)
        mujoco.mj_fwdActuation(model, data)
        mujoco.mj_fwdAcceleration(model, data)
        mujoco.mj_fwdConstraint(model, data)
        if self.stale is None:
            mujoco.mj_fwdConstraint(model, data)
            state = self._look()
        else:
            state, self.stale = self.stale, None
        if first:
            self._set_goal(action, state)
        data.ctrl[self.arm] = np.minimum(np.maximum(self._torques(state), self.low), self.high)
        self._grip(float(action[6]))
        mujoco.mj_step2(model, data)

    def _look(self) -> ArmState:
        model, data = self.model, self.data
        mujoco.mj_jacSite(model, data, self.jac_pos, self.jac_ori, self.site)
        mujoco.mj_fullM(model, self.mass, data.qM)
        qvel = data.qvel
        # Column order: numpy's indexing by a list, which robosuite uses, leaves its copies that way.
        jac_pos = self.jac_pos[:, self.qvel].copy("F")
        jac_ori = self.jac_ori[:, self.qvel].copy("F")
        return ArmState(
            data.site_xpos[self.site],
            data.site_xmat[self.site].reshape(3, 3),
            np.dot(self.jac_pos, qvel),
            np.dot(self.jac_ori, qvel),
            data.qpos[self.qpos],
            qvel[self.qvel],
            jac_pos,
            jac_ori,
            np.concatenate((jac_pos, jac_ori)),
            self.mass[self.qvel, self.qvel].copy("F"),
        )

    def _set_goal(self, action: np.ndarray, state: ArmState) -> None:
        delta = np.clip(action[:6], -1.0, 1.0) * self.scale
        if any(x != 0.0 for x in delta[3:].tolist()):
            turn = transform_utils.quat2mat(transform_utils.axisangle2quat(delta[3:]))
            self.goal_ori = np.dot(turn, state.orientation)
        self.goal_pos = state.position + delta[:3]

    def _torques(self, state: ArmState) -> np.ndarray:
        error = orientation_error(self.goal_ori, state.orientation)
        force = (self.goal_pos - state.position) * self.kp[0:3] - state.velocity * self.kd[0:3]
        torque = error * self.kp[3:6] - state.turning * self.kd[3:6]
        _, lambda_pos, lambda_ori, nullspace = opspace_matrices(state.mass, state.jac, state.jac_pos, state.jac_ori)
        np.dot(lambda_pos, force, out=self.wrench[:3])
        np.dot(lambda_ori, torque, out=self.wrench[3:])
        torques = np.dot(state.jac.T, self.wrench) + self.data.qfrc_bias[self.qvel]
        torques += nullspace_torques(state.mass, nullspace, self.posture, state.joints, state.joint_speeds)
        return torques

    def _grip(self, command: float) -> None:
        turn = (command > 0) - (command < 0)
        ctrl = self.data.ctrl
        for finger, sign in ((0, -1.0), (1, 1.0)):
            self.grip[finger] = min(max(self.grip[finger] + sign * GRIPPER_SPEED * turn, -1.0), 1.0)
            ctrl[self.fingers[finger]] = self.finger_bias[finger] + self.finger_weight[finger] * self.grip[finger]


def _slice(indices: Sequence[int]) -> slice:
    """Consecutive indices as a slice, which numpy reads without a copy. Raises ValueError for others."""
    start, stop = int(indices[0]), int(indices[-1]) + 1
    if [int(i) for i in indices] != list(range(start, stop)):
        raise ValueError(f"the arm's indices {list(indices)} are not consecutive")
    return slice(start, stop)

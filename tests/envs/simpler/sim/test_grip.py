"""The grip of the SAPIEN 3 build: drives that deliver upstream's force when blocked, and the plan of squeezing fingers."""

import numpy as np
import pytest

pytest.importorskip("sapien", reason="needs the extra [simpler]: pip install '.[simpler]'")

from nora_bench.envs.base import EnvOptions, EpisodeSpec, ObservationSpec
from nora_bench.envs.protocols import get
from nora_bench.envs.simpler.contacts import Contact
from nora_bench.envs.simpler.sim import robot
from nora_bench.envs.simpler.sim.controllers import Controller, DriveTargets, blocked_velocity
from nora_bench.envs.simpler.sim.env import SapienEnv
from nora_bench.envs.simpler.sim.solver import CONTROL_SOLVER
from nora_bench.envs.simpler.sim.timing import PHYSICS_HZ

HELD = [Contact(link, "can", np.array([0.0, 0.1, 0.0])) for link in ("link_finger_left", "link_finger_tip_right")]


@pytest.fixture(scope="module")
def physics(simpler_standin):
    env = SapienEnv(EnvOptions(assets=str(simpler_standin), gl="none", cache=""))
    protocol = get("simpler/nora-1.5")
    env.reset(EpisodeSpec("simpler-vm", 0, 3, 0, protocol.name, "urdf_base/standing"), protocol, ObservationSpec())
    return env.physics


def delivered(gains, response):
    """Part of upstream's nominal torque that a blocked implicit drive delivers."""
    h = 1 / (PHYSICS_HZ * CONTROL_SOLVER.iterations)
    return gains / (1 + gains * h * (h * 200.0 + 8.0) * response)


def test_blocked_finger_delivers_as_much_as_upstreams():
    armed = 1 / (1 / robot.FINGER_RESPONSE + robot.FINGER_ARMATURE)
    assert delivered(robot.FINGER_GAINS, armed) == pytest.approx(delivered(1.0, robot.FINGER_RESPONSE), rel=1e-3)
    assert pytest.approx(0.21, abs=0.01) == robot.BLOCKED_DRIVE
    assert delivered(1.0, armed) > 3.5 * robot.BLOCKED_DRIVE


def test_only_the_fingers_gains_are_reduced(physics):
    joints = physics.robot.body.active_joints
    factor = {joint.name: float(joint.stiffness) / robot.STIFFNESS[robot.JOINTS.index(joint.name)] for joint in joints}
    fingers = {robot.JOINTS[index] for index in robot.FINGERS}
    assert {name for name, value in factor.items() if value < 0.99} == fingers
    assert [factor[name] for name in sorted(fingers)] == pytest.approx([robot.FINGER_GAINS] * 2)


def test_finger_pushed_back_from_its_target_reports_a_closing_speed():
    rows = np.zeros((2, len(robot.JOINTS)))
    rows[-1, robot.FINGERS] = 0.7, 0.4
    drive = DriveTargets(rows.tolist(), np.zeros((1, 2), np.float32), np.zeros(2), True)
    right, left = blocked_velocity(np.array([0.5, 0.5]), np.zeros(2), drive)
    assert right == pytest.approx(0.12 * robot.BLOCKED_DRIVE * 200 * 0.2)
    assert left == 0.0


def test_grip_that_squeezes_starts_its_plan_forwards(physics):
    held = physics.robot.qpos()[robot.FINGERS]
    first, last = [], []
    for squeezing in (False, True):
        controller = Controller(physics.robot)
        controller.plan(np.array([0, 0, 0, 0, 0, 0, 1.0]))
        drive = controller.plan(np.array([0, 0, 0, 0, 0, 0, 1.0]), squeezing=squeezing)
        first.append(drive.position[20][robot.FINGERS[0]] - held[0])
        last.append(drive.finger_velocity[0, 0])
    assert first[1] > first[0]
    assert last[1] > last[0]


@pytest.mark.parametrize(("contacts", "squeezing"), [(HELD, True), (HELD[:1], False), ([], False)])
def test_squeezing_needs_both_fingers_on_one_object(physics, monkeypatch, contacts, squeezing):
    name = next(iter(physics.scene.objects))
    found = [Contact(contact.first, name, contact.impulse) for contact in contacts]
    monkeypatch.setattr(type(physics.scene), "contacts", lambda scene: found)
    assert physics.scene.is_squeezing() is squeezing

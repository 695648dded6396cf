"""How the scripted expert takes, carries and pushes SimplerEnv's things: geometry and plans, without a simulator."""

from itertools import pairwise

import numpy as np
import pytest
from nora_bench.envs.base import EnvObservation, EpisodeSpec
from nora_bench.envs.errors import PolicyError
from nora_bench.policies.base import Observation
from nora_bench.policies.scripted.geometry import LEVEL, Pose, norm
from nora_bench.policies.scripted.google_robot.carrying import EASE, KEEP, spot_near, take
from nora_bench.policies.scripted.google_robot.drawers import FRONT, HALF_HEIGHT, HEIGHTS, hook_pose, push_pose
from nora_bench.policies.scripted.google_robot.grasps import grasp_pose, with_lean
from nora_bench.policies.scripted.google_robot.gripper import PALM, lean_at
from nora_bench.policies.scripted.google_robot.motion import LEASH, Controller
from nora_bench.policies.scripted.google_robot.plans import solve
from nora_bench.policies.scripted.google_robot.scene import GoogleRobotScene
from nora_bench.policies.scripted.google_robot.styles import STYLES, Style
from nora_bench.policies.scripted.policy import ScriptedPolicy
from nora_bench.policies.scripted.steps import CLOSED, OPEN, Target

from .toy_simpler import BOTTLE, CAN, LYING_ALONG_X, LYING_ALONG_Y, STANDING, TABLE, toy_view

SPOTS = [(-0.35, -0.02), (-0.12, 0.42), (-0.235, 0.2)]
"""Corners and middle of upstream's grid for the can."""
GRIPPER_SCALE = 1.31
"""Radians of finger travel per unit of the gripper's action (`envs/simpler/sim/controllers.py`, which needs the simulator)."""
NEAR = 0.18
"""Distance within which every pair of move near counts as near, m."""


def can_scene(quaternion, xy=(-0.235, 0.2)):
    return GoogleRobotScene(toy_view("pick_coke_can", [(CAN, xy, quaternion)], source=0))


def drawer_scene(which, travel=0.0, task="open_drawer"):
    drawers = [travel if name == which else 0.0 for name in ("top", "middle", "bottom")]
    return GoogleRobotScene(toy_view(task, subtask=which, drawers=drawers))


@pytest.mark.parametrize("xy", SPOTS)
@pytest.mark.parametrize(("quaternion", "along"), [(LYING_ALONG_Y, (0, 1, 0)), (LYING_ALONG_X, (1, 0, 0))])
def test_a_lying_can_is_taken_across_its_axis(quaternion, along, xy):
    assert abs(grasp_pose(can_scene(quaternion, xy), 0).rotation[:, 0] @ along) < 0.05


@pytest.mark.parametrize("quaternion", [LYING_ALONG_Y, LYING_ALONG_X, STANDING])
def test_the_tips_of_a_grasping_hand_stay_above_the_table(quaternion):
    pose = grasp_pose(can_scene(quaternion), 0)
    assert pose.position[2] + 0.008 * pose.rotation[2, 2] > TABLE


def test_the_palm_stays_clear_of_a_standing_can():
    scene = can_scene(STANDING)
    pose = grasp_pose(scene, 0)
    above = scene.boxes(0).corners().reshape(-1, 3) - pose.position
    assert (-above @ pose.rotation[:, 2]).max() < PALM


def test_a_bottle_is_taken_from_the_robots_side():
    scene = GoogleRobotScene(toy_view("move_near", [(BOTTLE, (-0.33, 0.04), STANDING)] * 2, source=0, target=1))
    approach = grasp_pose(scene, 0).rotation[:, 2]
    assert approach[0] < -0.7
    assert approach[2] > -0.7


def test_a_hand_that_is_raised_leans_outwards_as_far_as_its_wrist_needs():
    scene = can_scene(LYING_ALONG_X)
    pose = grasp_pose(scene, 0)
    high = pose.moved(np.array([0.0, 0.0, 0.15]))
    raised = with_lean(high, TABLE, scene.base)
    assert np.arccos(-raised.rotation[2, 2]) == pytest.approx(lean_at(high.position, TABLE, scene.base))
    assert raised.rotation[0, 2] < pose.rotation[0, 2] < 0
    assert raised.rotation[:, 0] @ pose.rotation[:, 0] > 0.99


LAYOUTS = [((-0.33, 0.04), (-0.33, 0.34), (-0.13, 0.19)), ((-0.13, 0.04), (-0.33, 0.19), (-0.13, 0.34))]
PAIRS = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_thing_is_carried_near_its_target_and_nearer_to_it_than_to_the_bystander(layout, source, target):
    scene = GoogleRobotScene(toy_view("move_near", [(CAN, xy, STANDING) for xy in layout], source=source, target=target))
    place, bystander = spot_near(scene), scene.bystanders[0]
    apart = [norm((place - scene.center(index)) * LEVEL) for index in (target, bystander)]
    assert 2 * CAN[0] + 0.03 < apart[0] < NEAR
    assert apart[1] > apart[0] + 0.02


@pytest.mark.parametrize("which", ["top", "middle", "bottom"])
def test_the_hook_reaches_behind_and_below_the_edge_of_the_front(which):
    scene = drawer_scene(which)
    hook, edge = hook_pose(scene), HEIGHTS[scene.drawer] + HALF_HEIGHT
    assert hook.position[0] < FRONT[0] - 0.03
    assert edge - 0.04 < hook.position[2] < edge - 0.02


@pytest.mark.parametrize("travel", [0.2, 0.1])
def test_a_drawer_is_pushed_from_in_front_of_where_its_plate_is(travel):
    scene = drawer_scene("middle", travel, "close_drawer")
    assert 0.02 < push_pose(scene).position[0] - (FRONT[0] + travel) < 0.05


def test_an_action_is_given_in_the_axes_of_the_robots_root_and_kept_on_a_leash():
    scene = can_scene(LYING_ALONG_Y)
    ahead = Pose(scene.gripper.position + np.array([-1.0, 0.0, 0.0]), scene.gripper.rotation)
    action = Controller(scene.base).action(scene.gripper, Target(ahead, OPEN))
    assert action == pytest.approx([LEASH, 0, 0, 0, 0, 0, OPEN], abs=1e-9)


def play(view, steps, style=STYLES["slide"]):
    """A hand that is at once where it aims, and a thing that goes with it between closed fingers."""
    scene = GoogleRobotScene(view)
    plan, aims = solve(scene, style), []
    holds = (CLOSED,) if style.squeezes else (EASE, KEEP)
    for _ in range(steps):
        aims.append(next(plan))
        if aims[-1].grip in holds and any(target.grip == CLOSED for target in aims[:-1]):
            view["objects"][0, :3] += aims[-1].pose.position - view["tcp"][:3]
        view["tcp"] = np.array([*aims[-1].pose.position, *view["tcp"][3:]])
        scene.update(view)
        scene.gripper = aims[-1].pose
    return scene, aims


def test_the_grip_is_closed_eased_once_and_kept():
    _, aims = play(toy_view("pick_coke_can", [(CAN, (-0.235, 0.2), LYING_ALONG_Y)], source=0), 30)
    grips = [target.grip for target in aims]
    assert grips == sorted(grips, key=[OPEN, CLOSED, EASE, KEEP].index)
    assert grips.count(EASE) == 1


def test_the_can_is_lifted_and_held_still():
    scene, aims = play(toy_view("pick_coke_can", [(CAN, (-0.235, 0.2), LYING_ALONG_Y)], source=0), 60)
    assert scene.pose(0).position[2] > TABLE + CAN[2] + 0.03
    assert aims[-1].pose.position == pytest.approx(aims[-10].pose.position)


def test_the_source_ends_near_its_target_at_its_old_height():
    things = [(CAN, xy, STANDING) for xy in LAYOUTS[0]]
    view = toy_view("move_near", things, source=0, target=2)
    stood = view["objects"][0, 2]
    scene, _ = play(view, 60)
    assert norm((scene.center(0) - scene.center(2)) * LEVEL) < NEAR
    assert scene.center(0)[2] == pytest.approx(stood, abs=0.02)


@pytest.mark.parametrize("name", ["lift", "squeeze"])
def test_lifting_style_carries_high_and_lets_go_at_the_spot(name):
    view = toy_view("move_near", [(CAN, xy, STANDING) for xy in LAYOUTS[0]], source=0, target=2)
    stood = view["objects"][0, 2]
    scene, aims = play(view, 80, STYLES[name])
    carried = [aim.pose.position[2] for aim in aims if aim.grip in ((CLOSED,) if name == "squeeze" else (KEEP,))]
    assert max(carried) > stood + 0.1
    assert norm((scene.center(0) - scene.center(2)) * LEVEL) < NEAR
    assert scene.center(0)[2] == pytest.approx(stood, abs=0.02)
    grips = [aim.grip for aim in aims]
    assert OPEN in grips[grips.index(CLOSED) :]


def test_squeezing_style_never_eases_its_grip():
    _, aims = play(toy_view("pick_coke_can", [(CAN, (-0.235, 0.2), LYING_ALONG_Y)], source=0), 30, STYLES["squeeze"])
    assert {aim.grip for aim in aims} == {OPEN, CLOSED}


APPLE = (0.04, 0.04, 0.04)
PLACE = ("place_apple_in_closed_top_drawer", [(APPLE, (-0.05, 0.08), LYING_ALONG_Y)])
MET = 1.07
"""Angle at which the fingers meet, rad."""


def test_fingers_do_not_press_on_each_other_while_they_open_the_drawer():
    _, aims = play(toy_view(*PLACE, subtask="top", source=0, drawers=(0.0, 0.0, 0.0)), 40)
    opening = [target.grip for target in aims][: [target.grip for target in aims].index(OPEN)]
    assert len(opening) > 5
    assert 0.5 < sum(opening) * GRIPPER_SCALE < MET - 0.05


def test_gripper_returns_to_the_apple_that_slipped_out_of_it():
    view = toy_view(*PLACE, subtask="top", source=0, drawers=(0.0, 0.0, 0.0))
    apple = view["objects"][0, :3].copy()
    _, aims = play(view, 150, Style(squeezes=True))  # nothing follows a grip that is kept: the apple stays behind
    after = aims[next(k for k, target in enumerate(aims) if target.grip == CLOSED) :]
    assert view["objects"][0, :3] == pytest.approx(apple, abs=0.02)
    assert max(norm((target.pose.position - apple) * LEVEL) for target in after) < 0.25
    assert sum(a.grip == CLOSED != b.grip for a, b in pairwise(after)) > 1  # it grasped again


def test_grasp_error_shifts_the_grasp():
    scene = can_scene(LYING_ALONG_Y)
    plain, wrong = (list(take_poses(scene, Style(grasp_error=error))) for error in ((0, 0, 0, 0), (0.01, 0, 0.005, 0)))
    shift = wrong[-1].position - plain[-1].position
    assert (norm(shift * LEVEL), shift[2]) == pytest.approx((0.01, 0.005), abs=1e-3)


def take_poses(scene, style):
    """Poses that the gripper is sent to before it closes."""
    for target in take(scene, style):
        if target.grip == CLOSED:
            return
        yield target.pose
        scene.gripper = target.pose


def test_unknown_style_is_rejected():
    with pytest.raises(PolicyError, match="style=lift"):
        ScriptedPolicy(style="throw")


def test_a_simpler_world_without_privileged_view_is_refused_by_name():
    spec = EpisodeSpec("simpler-vm", 0, 0, 7, "simpler/nora-1.5", "urdf_base/standing")
    with pytest.raises(PolicyError, match="simpler-vm"):
        ScriptedPolicy().act_one(Observation(spec, 0, 0, "pick coke can", EnvObservation()))

"""What the scripted expert reads from a scene, and what it plans: goals, grasps, places, ways round."""

import numpy as np
import pytest
from nora_bench.envs.base import EnvObservation, EpisodeSpec
from nora_bench.envs.errors import PolicyError
from nora_bench.policies.base import Observation
from nora_bench.policies.scripted.geometry import Pose, norm
from nora_bench.policies.scripted.grasps import TOP, choose, style_of
from nora_bench.policies.scripted.gripper import gripper_clearance
from nora_bench.policies.scripted.places import placement_for, route
from nora_bench.policies.scripted.plans import holds, unmet
from nora_bench.policies.scripted.policy import ScriptedPolicy
from nora_bench.policies.scripted.scene import LiberoScene
from nora_bench.policies.scripted.skills import retreat, safe_height

from .toy_scene import DOWN, FINGERS, toy_scene, toy_view

TABLE = ("table", (0.5, 0.5, 0.05), (0.0, 0.0, -0.05))
BLOCK = ("butter", (0.04, 0.02, 0.05), (0.0, 0.0, 0.05))
PAD = ("cookies", (0.06, 0.06, 0.01), (0.2, 0.1, 0.01))


def test_on_needs_contact_and_origins_within_three_centimetres():
    above = {"block": ("butter", (0.04, 0.02, 0.05), (0.2, 0.08, 0.07)), "pad": PAD}
    term = ("on", "block", "pad")
    assert holds(toy_scene(above, touching=[("block", "pad")]), term)
    assert not holds(toy_scene(above), term)
    beside = {**above, "block": ("butter", (0.04, 0.02, 0.05), (0.2, 0.06, 0.07))}
    assert not holds(toy_scene(beside, touching=[("block", "pad")]), term)


def test_opening_comes_before_putting_and_closing_last():
    goal = [("close", "pad"), ("in", "block", "zone"), ("open", "pad")]
    scene = toy_scene({"block": BLOCK, "pad": PAD}, goal=goal, zones={"zone": ((1.0, 1.0, 0.0), (0.01, 0.01, 0.01))})
    assert [term[0] for term in unmet(scene)] == ["open", "in"]  # nothing of the pad can be open, so it is closed


@pytest.mark.parametrize(("fingers", "held"), [((), False), (FINGERS[:1], False), (FINGERS, True)])
def test_a_thing_is_held_that_both_fingers_touch(fingers, held):
    scene = toy_scene({"block": BLOCK, "pad": PAD}, touching=[("block", finger) for finger in fingers])
    assert scene.held("block") is held and not scene.held("pad")


def test_a_block_is_taken_across_its_narrow_side():
    scene = toy_scene({"table": TABLE, "block": BLOCK})
    pose = choose(scene, TOP.options(scene, "block"), "block")
    assert abs(pose.rotation[1, 0]) == pytest.approx(1.0)
    assert pose.position[:2] == pytest.approx([0.0, 0.0], abs=1e-6)


def test_a_neighbour_moves_the_grasp_to_where_the_hand_has_room():
    wall = ("milk", (0.02, 0.06, 0.15), (0.055, 0.09, 0.15))
    scene = toy_scene({"table": TABLE, "block": BLOCK, "wall": wall})
    pose = choose(scene, TOP.options(scene, "block"), "block")
    assert gripper_clearance([pose], scene.boxes("wall"))[0] > 0.005
    assert pose.position[0] < -0.005


def bowl_at(position, turned=0.0):
    """The grasp of a bowl that stands there, turned about its axis."""
    view = toy_view({"akita_black_bowl_1": ("akita_black_bowl", (0.055, 0.055, 0.025), position)})
    view["body_pose"][1, 3:] = [np.cos(turned / 2), 0.0, 0.0, np.sin(turned / 2)]
    scene = LiberoScene(view)
    return choose(scene, style_of(scene, "akita_black_bowl_1").options(scene, "akita_black_bowl_1"), "akita_black_bowl_1")


@pytest.mark.parametrize("turned", [0.05, 1.0, 3.1])
def test_how_far_a_round_bowl_is_turned_changes_nothing(turned):
    """No picture shows it."""
    plain, other = bowl_at((0.0, 0.0, 0.025)), bowl_at((0.0, 0.0, 0.025), turned)
    assert np.allclose(plain.position, other.position) and np.allclose(plain.rotation, other.rotation)


def test_a_free_bowl_is_taken_at_the_same_side_wherever_it_stands():
    for place in ((-0.1, -0.2, 0.025), (0.0, 0.0, 0.025), (0.05, 0.2, 0.025)):
        assert np.allclose((bowl_at(place).position - place)[:2], [0.0, -0.049], atol=1e-6)


def test_a_second_try_is_another_grasp():
    scene = toy_scene({"table": TABLE, "block": BLOCK})
    options = TOP.options(scene, "block")
    first = choose(scene, options, "block")
    assert norm(choose(scene, options, "block", tried=[first]).position - first.position) > 0.005


def test_a_thing_is_let_go_just_above_what_it_is_put_on():
    goal = placement_for(toy_scene({"table": TABLE, "block": BLOCK, "pad": PAD}), "block", "pad")
    assert goal.origin == pytest.approx([0.2, 0.1, 0.02 + 0.05 + 0.005])


def test_a_zone_of_the_table_is_used_where_it_is_emptiest():
    zone = {"zone": ((0.2, 0.0, 0.0), (0.05, 0.05, 0.01))}
    goal = placement_for(toy_scene({"table": TABLE, "block": BLOCK, "pad": PAD}, zones=zone), "block", "zone")
    assert goal.origin[1] < -0.02


SHELF = ("wooden_two_layer_shelf", (0.15, 0.1, 0.005), (0.0, 0.3, 0.1))
"""A board at a height of 10 cm, open towards -y."""


def on_shelf(kind, half):
    """A shelf, a thing on the table of a class and half sizes, and its way onto the board."""
    things = {"table": TABLE, "shelf": SHELF, "thing": (kind, half, (0.0, 0.0, half[2]))}
    view = toy_view(things, zones={"shelf_top_region": ((0.0, 0.3, 0.16), (0.1, 0.1, 0.05))})
    view["scene"]["regions"]["shelf_top_region"] = "shelf"
    scene = LiberoScene(view)
    return scene, placement_for(scene, "thing", "shelf_top_region")


def test_thing_goes_onto_a_shelf_from_its_front():
    _, goal = on_shelf("chefmate8_frypan", (0.04, 0.04, 0.02))
    assert goal.origin == pytest.approx([0.0, 0.27, 0.105 + 0.02 + 0.005])
    assert goal.over[1] == pytest.approx(-0.2)
    assert not goal.tilt.any()


def test_book_is_leaned_into_a_shelf_flat_side_down():
    scene, goal = on_shelf("black_book", (0.015, 0.05, 0.06))
    stand = scene.pose("thing")
    approach, closing = goal.gripper(Pose(stand.position, DOWN), stand).rotation[:, [2, 0]].T
    assert approach == pytest.approx([0.0, np.sqrt(0.5), -np.sqrt(0.5)])
    assert abs(closing[0]) == pytest.approx(1.0)  # it was grasped across its width here
    turned = goal.gripper(stand, stand).rotation @ (scene.boxes("thing").corners()[0] - stand.position).T
    assert turned[2].min() + goal.origin[2] == pytest.approx(0.105 + 0.005)
    assert abs(turned[0]).max() == pytest.approx(0.05)


def test_rule_of_a_region_comes_before_that_of_its_class():
    scene, _ = on_shelf("black_book", (0.015, 0.05, 0.06))
    table = {"any > wooden_two_layer_shelf.top_region": 1, "black_book": 2, "black_book > wooden_two_layer_shelf": 3}
    assert scene.rule(table, "thing", "shelf_top_region") == 3
    assert scene.rule(table | {"black_book > wooden_two_layer_shelf.top_region": 4}, "thing", "shelf_top_region") == 4
    assert scene.rule(table, "thing", "table") == 2
    assert scene.rule(table, "table", "shelf_top_region") == 1
    assert scene.rule(table, "table", "table") is None


def test_the_hand_travels_above_what_stands_in_between():
    tower = ("milk", (0.03, 0.03, 0.15), (0.2, 0.0, 0.15))
    scene = toy_scene({"table": TABLE, "tower": tower}, gripper=(0.0, 0.0, 0.1))
    assert safe_height(scene, Pose(np.array([0.4, 0.0, 0.1]), DOWN)) > 0.3
    assert safe_height(scene, Pose(np.array([0.0, 0.4, 0.1]), DOWN)) < 0.1


def test_a_load_under_a_shelf_is_drawn_out_the_short_way():
    shelf = ("shelf", (0.1, 0.1, 0.01), (-0.08, 0.0, 0.2))
    aside, headroom = retreat(toy_scene({"table": TABLE, "block": BLOCK, "shelf": shelf}), "block")
    assert aside[0] > 0.02
    assert abs(aside[1]) < 1e-9
    assert headroom == pytest.approx(0.09)


def test_a_plate_is_drawn_round_a_neighbour():
    plate = ("plate", (0.07, 0.07, 0.01), (0.0, 0.0, 0.01))
    zone = {"zone": ((0.0, 0.3, 0.0), (0.04, 0.04, 0.01))}
    free = toy_scene({"table": TABLE, "plate": plate}, zones=zone)
    assert len(route(free, "plate", "zone")) == 1
    barred = toy_scene({"table": TABLE, "plate": plate, "block": ("butter", (0.02, 0.02, 0.02), (0.03, 0.15, 0.02))}, zones=zone)
    assert route(barred, "plate", "zone")[0][0] < -0.03


SPEC = EpisodeSpec("libero_goal", 0, 0, 0, "libero/openvla")


def observation(view, decision=0):
    return Observation(SPEC, decision, decision, "", EnvObservation(privileged=view))


def test_the_label_is_the_action_before_noise_and_noise_repeats():
    view = toy_view({"table": TABLE, "block": BLOCK, "pad": PAD}, goal=[("on", "block", "pad")])
    plain, noisy, again = ScriptedPolicy(), ScriptedPolicy(noise=0.2), ScriptedPolicy(noise=0.2)
    expected, action, repeated = (policy.act_one(observation(view)).actions[0] for policy in (plain, noisy, again))
    assert noisy.label(SPEC.key) == pytest.approx(expected)
    assert action[:6] != pytest.approx(expected[:6])
    assert action[6] == expected[6]
    assert repeated.tolist() == action.tolist()


def test_a_finished_goal_is_left_alone():
    things = {"table": TABLE, "block": ("butter", (0.04, 0.02, 0.05), (0.2, 0.1, 0.07)), "pad": PAD}
    view = toy_view(things, goal=[("on", "block", "pad")], touching=[("block", "pad")])
    action = ScriptedPolicy().act_one(observation(view)).actions[0]
    assert np.abs(action[:6]).max() < 1e-9


def test_a_world_without_privileged_view_is_refused_by_name():
    with pytest.raises(PolicyError, match="libero_goal"):
        ScriptedPolicy().act_one(observation({}))


def test_noise_out_of_range_is_refused_with_an_example():
    with pytest.raises(PolicyError, match=r"noise=0\.1"):
        ScriptedPolicy(noise=2.0)

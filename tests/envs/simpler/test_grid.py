"""The grid is upstream's: its counts, orders, groups and placements."""

from collections import Counter

import pytest
from nora_bench.envs.simpler import grid, placements

COUNTS = {
    ("pick_coke_can", "visual_matching"): (12, 300),
    ("pick_coke_can", "variant_aggregation"): (27, 675),
    ("move_near", "visual_matching"): (4, 240),
    ("move_near", "variant_aggregation"): (8, 480),
    ("open_drawer", "visual_matching"): (12, 108),
    ("open_drawer", "variant_aggregation"): (21, 189),
    ("close_drawer", "visual_matching"): (12, 108),
    ("close_drawer", "variant_aggregation"): (21, 189),
    ("place_apple_in_closed_top_drawer", "visual_matching"): (4, 108),
    ("place_apple_in_closed_top_drawer", "variant_aggregation"): (7, 189),
}


def counted(task, setting):
    return [c for c in grid.configurations() if (c.task, c.setting) == (task, setting) and c.counted]


@pytest.mark.parametrize(("task", "setting"), COUNTS)
def test_table_cell_has_upstreams_number_of_configurations_and_episodes(task, setting):
    found = counted(task, setting)
    assert (len(found), sum(c.n_episodes for c in found)) == COUNTS[task, setting]


def test_camera_variants_are_in_the_grid_but_not_in_averages():
    left_out = [c for c in grid.configurations() if not c.counted]
    assert Counter((c.task, c.axis) for c in left_out) == {("pick_coke_can", "camera"): 6, ("move_near", "camera"): 2}
    assert sum(c.n_episodes for c in left_out) == 150 + 120


def test_configuration_names_are_unique():
    assert len({c.id for c in grid.configurations()}) == len(grid.configurations()) == 136


def test_objects_go_x_first_then_y():
    can = grid.find("pick_coke_can", "visual_matching", "urdf_base/standing")
    assert [can.episode(i).obj_xy for i in (0, 1, 5, 24)] == [(-0.35, -0.02), (-0.35, 0.09), (-0.2925, -0.02), (-0.12, 0.42)]


def test_robot_poses_go_outside_objects():
    apple = grid.find("place_apple_in_closed_top_drawer", "visual_matching", "urdf_base/top")
    assert [apple.episode(i).robot.pose_id for i in (0, 8, 9, 26)] == ["a0", "a0", "b0", "c0"]
    assert apple.episode(9).obj_xy == (-0.08, -0.02)


def test_each_robot_pose_at_the_drawers_has_its_own_photograph():
    drawer = grid.find("open_drawer", "visual_matching", "urdf_cabinet1/bottom")
    assert drawer.episode(8).rgb_overlay == "open_drawer_c2.png"
    assert grid.find("open_drawer", "variant_aggregation", "base/bottom").episode(8).rgb_overlay is None


def test_yaw_turns_the_base_on_top_of_its_half_turn():
    robot = grid.find("move_near", "visual_matching", "urdf_base").episode(0).robot
    assert robot.init_rot_quat_wxyz == pytest.approx((0.044984814, 0, 0, 0.9989876708))


def test_only_drawer_configurations_use_ray_tracing():
    assert {c.task for c in grid.configurations() if not c.ray_traced} == {"pick_coke_can", "move_near"}


def test_episode_outside_the_grid_is_rejected():
    with pytest.raises(IndexError, match="episodes 0 to 24, not 25"):
        grid.find("pick_coke_can", "visual_matching", "urdf_base/standing").episode(25)


@pytest.mark.parametrize(
    ("episode", "says"),
    [(0, "move blue plastic bottle near pepsi can"), (13, "move 7up can near sponge"), (59, "move redbull can near pepsi can")],
)
def test_move_near_instruction_names_source_and_target(episode, says):
    assert placements.instruction(grid.find("move_near", "visual_matching", "urdf_base").episode(episode)) == says


def test_instruction_omits_baked_from_model_names():
    assert placements.as_words("baked_opened_redbull_can_v2") == "redbull can"


def test_without_distractor_only_source_and_target_stand_on_the_table():
    found = placements.objects(grid.find("move_near", "variant_aggregation", "no_distractor").episode(13))
    assert [p.model for p in found.placements] == ["opened_7up_can", "sponge"]
    assert [p.xy for p in found.placements] == [(-0.33, 0.04), (-0.13, 0.19)]


def test_visual_matching_moves_baked_models():
    found = placements.objects(grid.find("move_near", "visual_matching", "urdf_base").episode(1))
    assert [p.model for p in found.placements] == ["blue_plastic_bottle", "baked_opened_pepsi_can", "orange"]


def test_distractors_are_placed_by_upstreams_generator():
    found = placements.objects(grid.find("pick_coke_can", "variant_aggregation", "distractor_less/standing").episode(0))
    assert [p.model for p in found.placements[1:]] == ["opened_pepsi_can", "apple", "sponge", "orange"]
    assert found.placements[1].xy == pytest.approx((-0.1, 0.172238347))
    assert found.placements[2].xy == pytest.approx((-0.212256902, 0.248946844))


def test_distractors_have_the_orientation_of_the_can():
    found = placements.objects(grid.find("pick_coke_can", "variant_aggregation", "distractor_more/vertical").episode(7))
    assert {p.quat for p in found.placements} == {placements.CAN_ORIENTATIONS["vertical"]}
    assert len(found.placements) == 7

"""Success is judged as upstream judges it: on the recorded episodes, and case by case."""

import dataclasses

import numpy as np
import pytest
from nora_bench.envs.simpler import grid, recordings, rules
from nora_bench.envs.simpler.contacts import Contact, Snapshot
from nora_bench.envs.simpler.parity import rules as rules_parity
from nora_bench.envs.simpler.rules import DrawerRule, MoveNearRule, PickRule, PlaceRule

UP = {link: np.array([0.0, 1.0, 0.0]) for links in rules.SIDES.values() for link in links}
CAN = PickRule.name
PUSH = np.array([0.0, 1.0, 0.0])
HELD = (Contact("link_finger_left", CAN, PUSH), Contact("link_finger_tip_right", CAN, PUSH))
TABLE = Contact("arena", CAN, PUSH)


def can(rise=0.0, *contacts):
    return Snapshot(np.array([[0, 0, 0.9 + rise, 1, 0, 0, 0.0]]), np.zeros((1, 3)), contacts=contacts, openings=UP)


def picked(*snapshots):
    rule = PickRule(can())
    return [rule.step(snapshot) for snapshot in snapshots], rule


def table(*xyz):
    """Objects standing upright at those places."""
    places = np.array(xyz, float)
    return Snapshot(np.hstack([places, np.tile([1.0, 0, 0, 0], (len(places), 1))]), places)


def moved(*xyz, start=((0, 0, 1), (0.5, 0, 1), (0, 0.5, 1))):
    rule = MoveNearRule(table(*start), np.full((len(start), 3), 0.03), 0, 1)
    rule.step(table(*xyz))
    return rule.facts()


def test_every_flag_of_every_recorded_step_is_reproduced(simpler_golden):
    checks = list(rules_parity.compare(simpler_golden))
    assert {check.case for check in checks} == {stem.name for stem in recordings.stems(simpler_golden)}
    assert [check for check in checks if check.tolerance is None or not check.passed] == []


def test_other_thresholds_fail_on_the_recordings(simpler_golden, monkeypatch):
    monkeypatch.setattr(rules, "OPEN", 0.1)
    monkeypatch.setattr(MoveNearRule, "NEAR", 0.2)
    monkeypatch.setattr(rules, "SIGNIFICANT_STEPS", 50)
    failed = {check.case.partition("__")[0] for check in rules_parity.compare(simpler_golden) if not check.passed}
    assert failed == {"move_near", "open_drawer", "pick_coke_can"}


def test_move_near_without_centres_of_mass_is_reported_only(simpler_golden):
    recording = recordings.read(simpler_golden / "move_near__vm_v0_ep1_carry")
    (check,) = rules_parity.compare_one(recording, {})
    assert check.tolerance is None and "no centre of mass" in check.note


def test_can_held_in_the_air_is_picked():
    assert picked(can(0.011, *HELD))[0] == [True]


def test_can_held_on_the_table_is_not_picked():
    assert picked(can(0.011, *HELD, TABLE))[0] == [False]


def test_can_released_on_the_table_is_no_longer_picked():
    assert picked(can(0.05, *HELD), can(0.0, TABLE))[0] == [True, False]


def test_can_held_high_for_five_steps_stays_picked():
    outcomes, rule = picked(*[can(0.05, *HELD)] * 5, can(0.0, TABLE))
    assert outcomes[-1] is True
    assert rule.statistics() == {"n_lift_significant": 5, "consec_grasp": True, "grasped": True}


def test_can_thrown_into_the_air_counts_while_it_flies():
    assert picked(can(0.05))[0] == [True]


def test_five_grasped_steps_are_a_consecutive_grasp():
    assert picked(*[can(0.0, *HELD, TABLE)] * 5)[1].facts()["consecutive_grasp"]


@pytest.mark.parametrize(
    ("contacts", "grasped"),
    [
        (HELD, True),
        (HELD[:1], False),
        ((HELD[0], Contact("link_finger_nail_right", CAN, PUSH)), False),
        ((HELD[0], Contact(CAN, "link_finger_right", -PUSH)), True),
        ((HELD[0], Contact("link_finger_right", CAN, -PUSH)), False),
        ((HELD[0], Contact("link_finger_right", CAN, PUSH * 1e-7)), False),
        ((HELD[0], Contact("link_finger_right", CAN, np.array([1.0, 0.2, 0.0]))), True),
        ((HELD[0], Contact("link_finger_right", CAN, np.array([1.0, 0.1, 0.0]))), False),
    ],
    ids=["both", "one side", "a nail", "named the other way", "pushed shut", "a breath", "at 79 degrees", "at 84 degrees"],
)
def test_grasp_is_two_fingers_pushed_open(contacts, grasped):
    assert rules.is_grasped(CAN, contacts, UP) is grasped


def test_source_beside_the_target_is_near_it():
    assert moved((0.4, 0, 1), (0.5, 0, 1), (0, 0.5, 1))["success"]


@pytest.mark.parametrize(
    ("places", "flag"),
    [
        (((0.3, 0, 1), (0.5, 0, 1), (0, 0.5, 1)), "near_tgt_obj"),
        (((0.4, 0, 1), (0.5, 0, 1), (0, 0.5, 0.97)), "all_obj_keep_height"),
        (((0.4, 0, 0.84), (0.5, 0, 1), (0, 0.5, 1)), "all_obj_keep_height"),
        (((0.02, 0, 1), (0.1, 0, 1), (0, 0.5, 1)), "moved_correct_obj"),
        (((0.1, 0, 1), (0.2, 0, 1), (0.15, 0.05, 1)), "moved_correct_obj"),
        (((0.4, 0, 1), (0.5, 0, 1), (0.4, 0.05, 1)), "is_closest_to_tgt"),
    ],
    ids=["too far", "bystander fell", "source sank", "only the target moved", "others moved more", "bystander nearer"],
)
def test_move_near_fails_by_each_of_its_conditions(places, flag):
    facts = moved(*places)
    assert (facts[flag], facts["success"]) == (False, False)


def test_wrong_object_that_moved_is_reported():
    assert moved((0.0, 0, 1), (0.4, 0, 1), (0, 0.5, 1))["moved_wrong_obj"]


@pytest.mark.parametrize(
    ("opens", "travel", "done"), [(True, 0.15, True), (True, 0.149, False), (False, 0.05, True), (False, 0.051, False)]
)
def test_drawer_is_open_from_15_cm_and_closed_up_to_5(opens, travel, done):
    assert DrawerRule("top", opens=opens).step(Snapshot(drawers={"top": travel, "middle": 0.1})) is done


def test_redbull_can_keeps_upstreams_oversized_box():
    setup = grid.find("move_near", "visual_matching", "urdf_base").episode(24)
    rule = rules.make_rule(setup, table((0, 0, 1), (0.5, 0, 1), (0, 0.5, 1)))
    assert rule.radii[1] == pytest.approx(np.hypot(0.02925, 0.086))


def test_task_without_a_rule_is_rejected():
    setup = grid.find("open_drawer", "variant_aggregation", "base/top").episode(0)
    other = dataclasses.replace(setup, configuration=dataclasses.replace(setup.configuration, task="fold_towel"))
    with pytest.raises(KeyError, match="fold_towel"):
        rules.make_rule(other, can())


def station(travel, *parts):
    """The top drawer out by `travel`, the apple touching those collision shapes of it."""
    return Snapshot(drawers={"top": travel}, contacts=[Contact("apple", "top_drawer", PUSH, part) for part in parts])


def placed(*snapshots):
    rule = PlaceRule("apple", "top", "open top drawer", "place apple into top drawer")
    return [rule.step(snapshot) for snapshot in snapshots], rule


def test_apple_placed_early_succeeds_only_in_the_second_part():
    done, rule = placed(station(0.2, 2), *[station(0.2)] * 100)
    assert (done[:100], done[100]) == ([False] * 100, True)
    assert rule.statistics() == {"qpos": 0.2, "is_drawer_open": True, "has_contact": 1}


def test_instruction_changes_after_the_first_step_of_the_second_part():
    _, rule = placed(*[station(0.0)] * 100)
    assert rules.current_instruction(rule) == "open top drawer"
    rule.step(station(0.0))
    assert rules.current_instruction(rule) == "place apple into top drawer"
    assert rules.current_instruction(DrawerRule("top", opens=True)) == ""


@pytest.mark.parametrize(("travel", "part", "done"), [(0.05, 2, True), (0.049, 2, False), (0.2, 0, False), (0.2, None, False)])
def test_apple_must_touch_the_bottom_of_a_drawer_that_stays_open(travel, part, done):
    assert placed(*[station(0.2)] * 100, station(travel, part))[0][-1] is done


def test_policy_may_end_the_first_part():
    _, rule = placed(station(0.2))
    rule.end_first_part()
    assert (rule.step(station(0.2, 2)), rule.subtask) == (True, 1)


def test_apples_rule_gives_every_recorded_flag(golden):
    found = [recordings.read(path.with_suffix("")) for path in sorted((golden / "simpler_widowx").glob("place_apple__*.json"))]
    if not found:
        pytest.skip("no recordings of place apple: NORA_BENCH_GOLDEN names a folder without simpler_widowx/")
    checks = [check for one in found for check in rules_parity.compare_one(one, {})]
    assert [check for check in checks if check.tolerance is None or not check.passed] == []
    shut = next(one for one in found if one.name.endswith("shut_again"))
    assert (bool(shut.arrays["terminated"].any()), bool(shut.arrays["terminated"][-1])) == (True, False)


def test_only_the_drawers_travel_fails_the_recording_that_is_shut_again(golden, monkeypatch):
    path = golden / "simpler_widowx" / "place_apple__vm_b0_shut_again"
    if not path.with_suffix(".npz").is_file():
        pytest.skip("no recordings of place apple: NORA_BENCH_GOLDEN names a folder without simpler_widowx/")
    monkeypatch.setattr(rules, "PLACED_OPEN", 0.0)
    wrong = {check.quantity for check in rules_parity.compare_one(recordings.read(path), {}) if not check.passed}
    assert wrong == {"rule: success (steps that differ)"}


def test_recording_resolves_to_the_grids_episode(simpler_golden):
    setup = recordings.read(simpler_golden / "pick_coke_can__vm_standing_tabletop1_grasp").setup
    found = grid.find("pick_coke_can", "visual_matching", "urdf_tabletop1/standing")
    same = dataclasses.replace(setup.configuration, variant="urdf_tabletop1", axis="robot_texture", counted=True)
    assert (same.env_id, same.name, same.env_kwargs, same.scene_name) == (
        found.env_id,
        found.name,
        found.env_kwargs,
        found.scene_name,
    )


def test_boolean_statistics_are_recorded_as_bool():
    found = rules.measures(picked(*[can(0.05, *HELD)] * 5)[1])
    assert found == {"consec_grasp": True, "grasped": True}
    assert {type(value) for value in found.values()} == {bool}

"""SimplerEnv's instructions in other words, and another task's, scored for both goals."""

import re

import numpy as np
import pytest
from nora_bench.envs import suites
from nora_bench.envs.base import EpisodeSpec
from nora_bench.envs.instructions import KINDS
from nora_bench.envs.perturbations import axes, language
from nora_bench.envs.simpler.contacts import Snapshot
from nora_bench.envs.simpler.other_tasks import BothGoals, OtherSetup, other_setups
from nora_bench.envs.simpler.rules import DrawerRule, MoveNearRule
from nora_bench.envs.simpler.setup import setup_of
from nora_bench.envs.simpler.wordings import wordings

MOVE = EpisodeSpec("simpler-vm", 1, 30, 0, "simpler/nora-1.5", "urdf_base")
OPEN = EpisodeSpec("simpler-vm", 2, 3, 0, "simpler/nora-1.5", "urdf_base/middle")
CLOSE = EpisodeSpec("simpler-vm", 3, 3, 0, "simpler/nora-1.5", "urdf_base/middle")
CAN = EpisodeSpec("simpler-vm", 0, 3, 0, "simpler/nora-1.5", "urdf_base/standing")
INSTRUCTIONS = (
    "pick coke can",
    "move blue plastic bottle near 7up can",
    "open top drawer",
    "close bottom drawer",
    "place apple into top drawer",
    *(task.instruction for task in suites.get("simpler-widowx").tasks),
)


@pytest.mark.parametrize("instruction", INSTRUCTIONS)
def test_instruction_has_ten_wordings_of_three_kinds(instruction):
    found = wordings(instruction)
    assert len({wording.text.casefold() for wording in found}) == len(found) >= 10
    assert {wording.kind for wording in found} == set(KINDS) - {"typo"}
    assert instruction not in {wording.text for wording in found}
    assert not any("{" in wording.text for wording in found)


@pytest.mark.parametrize("instruction", INSTRUCTIONS)
def test_wording_names_the_same_things_and_not_its_perturbation(instruction):
    things = {"coke", "blue plastic bottle", "7up can", "top", "bottom", "apple", "spoon", "carrot", "green", "yellow"}
    names = r"\b(" + "|".join({*axes.axes(), *KINDS, "none", "wrong"}) + r")\b"
    for wording in wordings(instruction):
        assert all(thing in wording.text for thing in things if re.search(rf"\b{thing}\b", instruction)), wording.text
        assert not re.search(names, wording.text), wording.text


def test_text_that_is_no_instruction_has_no_wordings():
    assert wordings("juggle apple") == ()


@pytest.mark.parametrize("name", ["simpler-vm", "simpler-va", "simpler-vm-place", "simpler-widowx"])
def test_every_episode_has_its_instruction_under_every_level(name):
    suite = suites.get(name)
    for task in suite.tasks:
        for level in axes.axes()["language"].levels:
            variant = (task.variants or ("",))[-1]
            spec = EpisodeSpec(name, task.id, 0, 0, "", variant, perturbation=f"language-{level}")
            if level != "wrong":
                assert language.problem(suite, spec) == ""
                assert language.given(suite, spec) != suite.instruction(spec)


def test_other_tasks_are_those_of_the_same_objects():
    assert [other.instruction for other in other_setups(setup_of(OPEN))] == ["open top drawer", "open bottom drawer"]
    assert [other.instruction for other in other_setups(setup_of(CLOSE))] == ["open top drawer", "open bottom drawer"]
    assert other_setups(setup_of(CAN)) == ()
    moves = [other.instruction for other in other_setups(setup_of(MOVE))]
    own = suites.get("simpler-vm").instruction(MOVE)
    assert len(set(moves)) == 5
    assert own not in moves


def test_task_without_another_one_is_not_given_a_wrong_instruction():
    from dataclasses import replace

    spec = replace(CAN, perturbation="language-wrong")
    assert "no other task" in language.problem(suites.get("simpler-vm"), spec)


def drawers(**travel):
    return Snapshot(np.zeros((0, 7)), np.zeros((0, 3)), drawers={"top": 0.0, "middle": 0.0, "bottom": 0.0, **travel})


def test_drawer_that_is_asked_for_is_scored_beside_the_own_one():
    rule = BothGoals(DrawerRule("middle", opens=True), OtherSetup("open_drawer", "open top drawer", drawer="top"))
    assert not rule.step(drawers(top=0.2))
    assert rule.step(drawers(top=0.2, middle=0.2))
    assert rule.statistics() == {"qpos": "0.200", "asked_goal": True, "original_goal": False}
    assert rule.facts() == {"qpos": 0.2, "success": True}


def test_pair_that_is_asked_for_is_scored_beside_the_own_one():
    def table(*xyz):
        places = np.array(xyz, float)
        return Snapshot(np.hstack([places, np.tile([1.0, 0, 0, 0], (3, 1))]), places)

    own = MoveNearRule(table((0, 0, 1), (0.5, 0, 1), (0, 0.5, 1)), np.full((3, 3), 0.03), 0, 1)
    rule = BothGoals(own, OtherSetup("move_near", "move a near c", pair=(0, 2)))
    assert not rule.step(table((0, 0.4, 1), (0.5, 0, 1), (0, 0.5, 1)))
    assert (rule.statistics()["asked_goal"], rule.statistics()["original_goal"]) == (True, False)
    rule = BothGoals(own, OtherSetup("move_near", "move a near c", pair=(0, 2)))
    assert rule.step(table((0.4, 0, 1), (0.5, 0, 1), (0, 0.5, 1)))
    assert (rule.statistics()["asked_goal"], rule.statistics()["original_goal"]) == (False, True)

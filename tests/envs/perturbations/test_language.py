"""The axis `language`: the text of an episode is keyed by its scene."""

from dataclasses import replace

import pytest
from nora_bench.envs import suites
from nora_bench.envs.base import EpisodeSpec
from nora_bench.envs.instructions import KINDS, FirstGoal, OtherTask, Wording
from nora_bench.envs.perturbations import axes, language

CONTROL = EpisodeSpec("libero_goal", 3, 12, 0, "libero/openvla")
GOAL = suites.get("libero_goal")


def perturbed(level, **changes):
    return replace(CONTROL, perturbation=f"language-{level}", **changes)


def test_levels_are_the_kinds_of_wordings_and_no_and_other_instructions():
    assert tuple(axes.axes()["language"].levels) == (*KINDS, language.NONE, language.WRONG)
    assert [language.level_of(replace(CONTROL, perturbation=name)) for name in axes.parse(["language"])] == [
        *axes.axes()["language"].levels
    ]


def test_episode_of_another_axis_has_its_own_instruction():
    for name in ("", "latency-100ms"):
        spec = replace(CONTROL, perturbation=name)
        assert language.given(GOAL, spec) == GOAL.tasks[3].instruction
        assert language.problem(GOAL, spec) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_wording_is_one_of_its_kind_and_the_same_under_every_protocol(kind):
    texts = {wording.text for wording in GOAL.wordings(GOAL.tasks[3].instruction) if wording.kind == kind}
    given = [language.given(GOAL, perturbed(kind, init_state=state)) for state in range(50)]
    assert set(given) == texts
    assert given == [language.given(GOAL, perturbed(kind, init_state=state, protocol="libero/nora")) for state in range(50)]


def test_instruction_is_empty_without_one():
    assert language.given(GOAL, perturbed("none")) == ""


def test_instruction_of_another_task_is_one_of_the_same_scene():
    others = {other.instruction for other in GOAL.other_tasks(CONTROL)}
    assert {language.given(GOAL, perturbed("wrong", init_state=state)) for state in range(50)} == others
    assert GOAL.tasks[3].instruction not in others


def test_suite_without_wordings_has_typing_errors_and_other_tasks_only():
    libero_90 = suites.get("libero_90")
    problems = {
        level: language.problem(libero_90, replace(perturbed(level), suite="libero_90"))
        for level in axes.axes()["language"].levels
    }
    assert {level for level, problem in problems.items() if problem} == {"lexical", "structural", "pragmatic"}


class OneTask:
    """A suite of any class with one task."""

    name = family = title = default_protocol = "one"
    tasks = (replace(GOAL.tasks[3], id=0, instruction="go"),)
    resolve_assets = make_env = versions = lambda *_: None


def test_suite_with_one_task_has_no_other():
    one = suites.complete(OneTask())
    assert "no other task" in language.problem(one, replace(perturbed("wrong"), task_id=0))
    assert "cannot be misspelled" not in language.problem(one, replace(perturbed("none"), task_id=0))
    assert "misspelled" in language.problem(one, replace(perturbed("typo"), task_id=0))


def test_suite_of_any_class_can_have_wordings_and_other_tasks():
    class Worded(OneTask):
        def wordings(self, instruction):
            return [Wording(f"please {instruction}", "pragmatic", "us")]

        def other_tasks(self, spec):
            return [OtherTask("one", 7, "stop")]

    one = suites.complete(Worded())
    assert language.given(one, replace(perturbed("pragmatic"), task_id=0)) == "please go"
    assert language.given(one, replace(perturbed("wrong"), task_id=0)) == "stop"


def test_later_instruction_is_altered_like_the_first():
    assert language.altered(GOAL, perturbed("none"), "turn on the stove") == ""
    assert language.altered(GOAL, perturbed("typo"), "turn on the stove") in {
        wording.text for wording in GOAL.wordings("turn on the stove")
    }
    assert language.altered(GOAL, perturbed("lexical"), "shut the door") == "shut the door"
    assert language.altered(GOAL, perturbed("wrong"), "turn on the stove") == language.given(GOAL, perturbed("wrong"))


@pytest.mark.parametrize(
    ("steps", "measures"),
    [
        ([], (False, False)),
        ([(False, False), (True, False), (False, True)], (True, False)),
        ([(False, True), (True, False)], (False, True)),
        ([(True, True)], (True, True)),
    ],
)
def test_goal_that_is_reached_first_counts(steps, measures):
    first = FirstGoal()
    for asked, original in steps:
        first.step(asked=asked, original=original)
    assert first.measures() == dict(zip(("asked_goal", "original_goal"), measures, strict=True))

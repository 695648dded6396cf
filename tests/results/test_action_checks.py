"""What actions look like, and when that is suspicious."""

from pathlib import Path

import numpy as np
import pytest
from nora_bench.envs.specs import ActionConvention
from nora_bench.results.action_checks import action_warnings, measure
from nora_bench.results.store.reader import StoredRun
from nora_bench.results.store.run_metadata import RunMetadata

LIBERO = ActionConvention(translation=(0, 1, 2), gripper=6)


def warned(record, *episodes, max_steps=None, termination="budget"):
    """Warnings of a run whose episodes executed these actions."""
    success = termination == "success"
    records = [
        record(key=f"k{n}", steps=len(a), success=success, termination=termination, action_checks=measure(a, LIBERO))
        for n, a in enumerate(episodes)
    ]
    return list(action_warnings(StoredRun(Path("run"), RunMetadata(config={"max_steps": max_steps}), tuple(records)), records))


def reaching(steps=100):
    """There and back with an open hand, then closed."""
    actions = np.zeros((steps, 7))
    actions[:, 0] = np.sin(np.arange(steps) / 10)
    actions[:, 6] = np.where(np.arange(steps) < steps / 2, -1, 1)
    return actions


def test_counts_of_an_episode():
    actions = np.zeros((4, 7))
    actions[:, 2] = [0.5, 1.5, 0.5, 1.5]
    actions[:, 6] = [-1, 1, 1, 0]
    assert measure(actions, LIBERO) == {
        "outside": round(2 / 28, 6),
        "translation_mean": 1.0,
        "translation_spread": 0.5,
        "gripper_negative": 0.25,
        "gripper_positive": 0.5,
    }


def test_suite_without_action_convention_has_no_action_checks():
    assert measure(np.full((4, 7), 30.0), None) == {}


def test_ordinary_actions_are_not_suspicious(record):
    assert warned(record, reaching(), reaching()) == []
    assert warned(record, np.zeros((100, 7))) == []


@pytest.mark.parametrize("few", [1, 2])
def test_most_episodes_must_be_outside_the_bounds(record, few):
    lines = warned(record, *[30 * reaching()] * few, *[reaching()] * 2)
    assert lines == []
    assert len(warned(record, *[30 * reaching()] * 3, *[reaching()] * 2)) == 1


def test_absolute_positions_are_noticed(record):
    absolute = reaching()
    absolute[:, :3] = [-0.2, 0.0, 1.1] + 0.1 * absolute[:, :3]
    (line,) = warned(record, absolute)
    assert "absolute positions" in line


def test_a_gripper_that_never_opens_is_noticed_where_an_episode_failed(record):
    opening = reaching()
    opening[:, 6] = opening[:, 6] > 0
    (line,) = warned(record, opening, opening)
    assert "0 to 1" in line
    assert warned(record, opening, opening, termination="success") == []


def test_a_gripper_that_never_closes_is_noticed_unless_episodes_were_shortened(record):
    never = reaching()
    never[:, 6] = -1
    assert len(warned(record, never)) == 1
    assert warned(record, never, max_steps=100) == []

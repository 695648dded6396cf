from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="no torch: pip install 'nora-bench[train]'")
import torch
from nora_bench.training.preference.pairs import chosen_and_rejected, pair
from nora_bench.training.preference.rewards import REWARDS, Reward, action_reward, goal_reward, named, score


def test_the_action_reward_is_the_mean_distance_to_the_demonstration():
    candidates = torch.stack([torch.zeros(5, 7), torch.ones(5, 7)])
    assert action_reward(candidates, torch.full((5, 7), 0.25)).tolist() == [-0.25, -0.75]


def test_the_goal_reward_is_the_mean_distance_of_latents():
    assert goal_reward(torch.tensor([[[1.0, 3.0]], [[0.0, 0.0]]]), torch.tensor([[1.0, 1.0]])).tolist() == [-1.0, -1.0]


@pytest.mark.parametrize(
    ("name", "total"),
    [("wm-endgoal", -2.0), ("gta", -1.0), ("wm-endgoal+gta", -2.5), ("wm-subgoal+gta", -2.5), ("released", -2.1)],
)
def test_named_reward_has_the_weights_of_the_papers(name, total):
    scores = score(REWARDS[name], torch.ones(1, 5, 7), torch.zeros(5, 7), torch.full((1, 4, 3), 2.0), torch.zeros(4, 3))
    assert float(scores.total) == pytest.approx(total)


def test_every_reward_is_documented():
    page = (Path(__file__).parents[3] / "docs" / "guide" / "preference.md").read_text(encoding="utf-8")
    table = page.partition("## Rewards")[2].partition("\n## ")[0]
    assert [name for name in REWARDS if f"`{name}`" not in table] == []


@pytest.mark.parametrize(("name", "frame"), [("wm-endgoal", 40), ("wm-subgoal", 15), ("released", 33)])
def test_the_goals_frame_is_the_last_the_one_after_the_chunk_or_the_eighth_from_the_end(name, frame):
    assert REWARDS[name].frame(start=10, chunk=5, last=40) == frame


def test_a_goal_beyond_the_episode_is_its_last_frame():
    assert Reward("subgoal").frame(start=38, chunk=5, last=40) == 40
    assert Reward("endgoal", goal_offset=7).frame(start=0, chunk=5, last=3) == 0


def test_single_fields_of_a_named_reward_can_be_changed():
    assert named("wm-endgoal+gta", action_weight=0.2).action_weight == 0.2


def test_goal_without_predictions_is_rejected():
    with pytest.raises(ValueError, match="subgoal"):
        score(REWARDS["wm-subgoal"], torch.ones(1, 5, 7), torch.zeros(5, 7))


def test_the_first_of_equals_is_taken():
    assert chosen_and_rejected(np.array([0.0, 1.0, 1.0, 0.0])) == (1, 0)


@pytest.mark.parametrize(
    ("totals", "margin", "wanted"),
    [
        ([-1.0, -3.0, -2.0], 0.0, (0, 1)),
        ([-1.0, -1.0, -1.0], 0.0, (-1, -1)),
        ([-1.0, -1.05], 0.1, (-1, -1)),
        ([-1.0, -1.25], 0.25, (0, 1)),
        ([-1.0, float("nan")], 0.0, (-1, -1)),
        ([-1.0, float("-inf")], 0.0, (-1, -1)),
        ([float("nan")] * 2, 0.0, (-1, -1)),
        ([float("nan"), -2.0, -1.0], 0.0, (2, 1)),
    ],
)
def test_rewards_that_are_equal_too_close_or_no_numbers_make_no_pair(totals, margin, wanted):
    assert pair(np.array(totals), margin) == wanted

import numpy as np
import pytest
from nora_bench.training.data.dataset import Chunking, cut, fill_released

ACTIONS = np.arange(1, 7)[:, None] * np.ones(7)
"""Six steps; step t holds t + 1 everywhere."""


def firsts(chunks):
    """The first number of every action."""
    return chunks.actions[:, :, 0].tolist()


def test_chunk_contains_the_actions_from_its_start():
    assert firsts(cut(ACTIONS, [0, 2], Chunking(3))) == [[1, 2, 3], [3, 4, 5]]


@pytest.mark.parametrize(("end", "wanted"), [("repeat", [5, 6, 6, 6]), ("still", [5, 6, 0, 0]), ("released", [5, 6, 6, 6])])
def test_padding_after_the_last_action(end, wanted):
    found = cut(ACTIONS, [4], Chunking(4, end))
    assert firsts(found) == [wanted]
    assert found.actions[0, :, 6].tolist() == [5, 6, 6, 6]  # the gripper always goes on as it was
    assert found.valid.tolist() == [[True, True, False, False]]


def test_dropping_leaves_out_chunks_that_reach_beyond_the_end():
    assert cut(ACTIONS, range(6), Chunking(4, "drop")).starts.tolist() == [0, 1, 2]


def test_released_padding_is_zero_after_normalisation_except_for_the_gripper():
    filled = fill_released(np.full((1, 3, 7), 0.5), np.array([[True, True, False]]))
    assert filled[0].tolist() == [[0.5] * 7, [0.5] * 7, [0.0] * 6 + [0.5]]


def test_chunks_that_overlap_a_push_are_omitted():
    masked = np.array([False, False, False, True, False, False])
    assert cut(ACTIONS, range(6), Chunking(2), masked=masked).starts.tolist() == [0, 1, 4, 5]


def test_padding_may_overlap_a_push():
    masked = np.array([True, False, False, False, False, False])
    assert cut(ACTIONS, [5], Chunking(4), masked=masked).starts.tolist() == [5]


def test_cutting_leaves_the_episode_unchanged():
    before = ACTIONS.copy()
    cut(ACTIONS, [5], Chunking(4, "still"))
    assert np.array_equal(ACTIONS, before)

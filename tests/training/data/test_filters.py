import numpy as np
from nora_bench.training.data.readers import acting, without_noops

from ..made import made


def action(move, grip):
    return [move, 0, 0, 0, 0, 0, grip]


def test_noops_are_removed_unless_the_gripper_changes():
    actions = np.array([action(0, -1), action(0.5, -1), action(0, -1), action(0, 1), action(0, 1), action(0.5, 1)])
    assert acting(actions).tolist() == [False, True, False, True, False, True]


def test_the_gripper_is_compared_with_the_last_step_that_was_kept():
    actions = np.array([action(0, 1), action(0, -1), action(0.5, 1), action(0, -1)])
    assert acting(actions).tolist() == [False, False, True, True]


def test_removed_rows_are_the_same_in_all_arrays():
    found = made()
    found.labels[3, :6] = 0.0
    kept = without_noops(found)
    assert len(kept) == len(found) - 1
    for name in ("actions", "states", "labels", "pushed", "robot_states", "seen_qpos"):
        assert np.array_equal(getattr(kept, name), np.delete(getattr(found, name), 3, axis=0))

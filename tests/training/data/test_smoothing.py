"""Labels averaged along time."""

import numpy as np
from nora_bench.training.data.readers import smoothed

from ..made import made


def jittering(steps=40, switch=None, **changes):
    """Labels that jump about a constant, and a gripper that closes at `switch`."""
    labels = np.zeros((steps, 7))
    labels[:, :6] = 0.5 + 0.2 * np.where(np.arange(steps) % 2, 1, -1)[:, None]
    labels[:, 6] = np.where(np.arange(steps) < (switch or steps), -1.0, 1.0)
    return made(steps=steps, labels=labels, **changes)


def jumps(labels):
    return np.abs(np.diff(labels[:, :6], axis=0)).mean()


def test_smoothing_removes_jitter_and_keeps_the_mean():
    found = smoothed(jittering(), 2.0)
    assert jumps(found.labels) < 0.01 * jumps(jittering().labels)
    assert np.allclose(found.labels[5:-5, :6], 0.5, atol=0.01)


def test_smoothing_leaves_constant_motion_unchanged():
    steady = np.tile([0.3, -0.2, 0.1, 0, 0, 0, 1.0], (20, 1))
    assert np.allclose(smoothed(made(steps=20, labels=steady), 2.0).labels, steady)


def test_smoothing_stops_at_a_gripper_change():
    labels = np.zeros((20, 7))
    labels[10:, 2], labels[:, 6] = 1.0, np.where(np.arange(20) < 10, 1.0, -1.0)
    assert np.allclose(smoothed(made(steps=20, labels=labels), 3.0).labels, labels)


def test_smoothing_stops_at_a_push():
    labels = np.zeros((20, 7))
    labels[8:12, 0] = 1.0
    found = made(steps=20, labels=labels, pushed=range(8, 12))
    assert np.allclose(smoothed(found, 3.0).labels, labels)


def test_smoothing_keeps_gripper_and_executed_actions():
    before = jittering(switch=21)
    after = smoothed(before, 1.5)
    assert np.array_equal(after.labels[:, 6], before.labels[:, 6])
    assert after.actions is before.actions and after.states is before.states


def test_zero_width_changes_nothing():
    before = jittering()
    assert smoothed(before, 0.0) is before

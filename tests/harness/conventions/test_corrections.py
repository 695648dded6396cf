"""Corrections undo the faults that they are named for."""

import numpy as np
from nora_bench.harness.conventions import corrections as to
from nora_bench.harness.conventions.confirmation import executable, is_executable
from nora_bench.policies.adapters import NormStats
from synthetic_moments import moments

SEEN = moments(1, 1)[0].observation
CHUNK = np.random.default_rng(0).uniform(-0.4, 0.4, (4, 7))


def smooth_image(side=256):
    rows, columns = np.mgrid[:side, :side] / side
    return (127 + 100 * np.stack([np.sin(5 * rows), np.cos(4 * columns), rows * columns], axis=-1)).astype(np.uint8)


def test_crop_of_a_surrounded_image_is_nearly_the_image():
    image = smooth_image()
    difference = np.abs(to.cropped(to.surrounded(image)).astype(int) - image)
    assert difference.mean() < 1.5


def test_camera_swap_exchanges_images_and_keeps_the_rest():
    swapped = to.swap_cameras(SEEN)
    np.testing.assert_array_equal(swapped.images["wrist"], SEEN.images["primary"])
    assert swapped.instruction == SEEN.instruction
    assert swapped.proprio is SEEN.proprio


def test_correction_of_an_observation_leaves_the_original_unchanged():
    before = SEEN.images["primary"].copy()
    to.images(lambda image: image[::-1])(SEEN)
    np.testing.assert_array_equal(SEEN.images["primary"], before)


def test_shifts_leave_unknown_rows():
    earlier, later = to.earlier(slice(None))(CHUNK, SEEN), to.later(slice(None))(CHUNK, SEEN)
    np.testing.assert_array_equal(earlier[:-1], CHUNK[1:])
    np.testing.assert_array_equal(later[1:], CHUNK[:-1])
    assert np.isnan(earlier[-1]).all()
    assert np.isnan(later[0]).all()


def test_shift_of_the_gripper_leaves_motion():
    np.testing.assert_array_equal(to.earlier(-1)(CHUNK, SEEN)[:, :6], CHUNK[:, :6])


def test_statistics_are_exchanged_for_motion_and_not_for_the_gripper():
    mask = np.array([True] * 6 + [False])
    used = NormStats(np.full(7, -0.1), np.full(7, 0.3), mask)
    right = NormStats(np.full(7, -2.0), np.full(7, 4.0), mask)
    normalised = np.random.default_rng(1).uniform(-1, 1, (3, 7))
    exchanged = to.rescaled(used, right)(used.unnormalise(normalised), SEEN)
    np.testing.assert_allclose(exchanged, right.unnormalise(normalised))


def test_motion_in_the_end_effectors_axes_is_rotated_to_the_world():
    from scipy.spatial.transform import Rotation

    local = CHUNK.copy()
    turn = Rotation.from_quat(SEEN.proprio["eef_quat"]).inv()
    local[:, :3], local[:, 3:6] = turn.apply(CHUNK[:, :3]), turn.apply(CHUNK[:, 3:6])
    np.testing.assert_allclose(to.from_end_effector(local, SEEN), CHUNK, atol=1e-12)


def test_executable_chunk_has_no_unknown_numbers():
    cut = executable(to.first_rows(2)(CHUNK, SEEN), CHUNK)
    gripper = executable(to.earlier(-1)(CHUNK, SEEN), CHUNK)
    assert cut.shape == (2, 7)
    assert gripper.shape == (4, 7)
    assert np.isfinite(gripper).all()


def test_correction_that_lacks_the_first_action_cannot_be_executed():
    assert not is_executable(to.later(slice(None)), CHUNK, SEEN)
    assert is_executable(to.earlier(-1), CHUNK, SEEN)
    assert is_executable(None, CHUNK, SEEN)

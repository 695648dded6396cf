"""Rotations, boxes and slabs of the scripted expert."""

import math

import numpy as np
import pytest
from nora_bench.policies.scripted.geometry import Boxes, clearance, distance, exp, frame, from_quaternion, heading, log, slab


def box(center, half, turn=(0.0, 0.0, 0.0)):
    return Boxes(np.array([center], dtype=float), exp(np.array(turn))[None], np.array([half], dtype=float))


@pytest.mark.parametrize("vector", [(0.0, 0.0, 0.0), (0.3, -1.0, 2.0), (0.0, 0.0, math.pi), (1e-10, 0.0, 0.0)])
def test_a_rotation_vector_survives_the_way_through_its_matrix(vector):
    assert exp(log(exp(np.array(vector)))) == pytest.approx(exp(np.array(vector)), abs=1e-9)


def test_a_quarter_turn_about_z_reads_the_same_from_quaternion_and_vector():
    half = math.sqrt(0.5)
    assert from_quaternion(np.array([half, 0, 0, half])) == pytest.approx(exp(np.array([0, 0, math.pi / 2])))


def test_a_hand_frame_is_a_rotation_with_approach_and_closing_as_asked():
    axes = frame(np.array([0.0, 1.0, -1.0]), heading(0.0))
    assert axes.T @ axes == pytest.approx(np.eye(3))
    assert np.linalg.det(axes) == pytest.approx(1.0)
    assert axes[:, 2] == pytest.approx(np.array([0.0, 1.0, -1.0]) / math.sqrt(2))


@pytest.mark.parametrize(("x", "gap"), [(0.5, 0.3), (0.15, -0.05)])
def test_clearance_is_the_gap_between_boxes_and_negative_inside(x, gap):
    assert clearance(box((0, 0, 0), (0.1,) * 3), box((x, 0, 0), (0.1,) * 3))[0, 0] == pytest.approx(gap)


def test_clearance_sees_that_a_turned_box_reaches_farther():
    turned = box((0.3, 0, 0), (0.1, 0.1, 0.1), (0, 0, math.pi / 4))
    assert clearance(box((0, 0, 0), (0.1,) * 3), turned)[0, 0] == pytest.approx(0.2 - 0.1 * math.sqrt(2))


def test_distance_is_zero_inside_and_measured_to_the_corner_outside():
    points = np.array([[0.05, 0.0, 0.0], [0.2, 0.2, 0.1]])
    assert distance(points, box((0, 0, 0), (0.1,) * 3))[:, 0] == pytest.approx([0.0, math.hypot(0.1, 0.1)])


def test_a_slab_of_a_leaning_box_is_as_wide_as_the_box_is_there():
    leaning = box((0, 0, 0), (0.1, 0.02, 0.5), (0, 0.5, 0))
    cut = slab(leaning, -1e-6, 1e-6)
    assert np.ptp(cut[:, 0]) == pytest.approx(0.2 / math.cos(0.5), abs=1e-4)
    assert len(slab(leaning, 2.0, 3.0)) == 0

"""Quaternions w, x, y, z."""

import numpy as np
import pytest
from nora_bench.envs.rotations import angle_degrees, from_axis_angle, rotate


def test_quarter_turn_about_z_takes_x_to_y():
    assert rotate(from_axis_angle(np.array([0, 0, np.pi / 2])), np.array([1.0, 0, 0])) == pytest.approx([0, 1, 0])


def test_tiny_rotation_is_the_identity():
    assert from_axis_angle(np.zeros(3)) == pytest.approx([1, 0, 0, 0])


@pytest.mark.parametrize("sign", [1, -1])
def test_angle_between_orientations_ignores_the_sign(sign):
    turned = from_axis_angle(np.array([np.radians(30), 0, 0]))
    assert angle_degrees(np.array([1.0, 0, 0, 0]), sign * turned) == pytest.approx(30)

"""A collision mesh falls into its connected parts."""

import numpy as np
import pytest

pytest.importorskip("sapien", reason="needs the extra [simpler]: pip install '.[simpler]'")

from nora_bench.envs.simpler.sim.urdf import parts

TETRAHEDRON = "f {0} {1} {2}\nf {0} {1} {3}\nf {0} {2} {3}\nf {1} {2} {3}\n"


def corners(shift):
    return "".join(f"v {x + shift} {y} {z}\n" for x, y, z in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)))


def write(path, *blocks):
    path.write_text("".join(blocks))
    return path


def test_disconnected_parts_are_separate(tmp_path):
    mesh = write(
        tmp_path / "a.obj", corners(0), corners(5), "o both\n", TETRAHEDRON.format(1, 2, 3, 4), TETRAHEDRON.format(5, 6, 7, 8)
    )
    first, second = parts(mesh)
    assert first[:, 0].max() == 1
    assert second[:, 0].min() == 5


def test_corners_at_the_same_place_join_faces(tmp_path):
    mesh = write(
        tmp_path / "b.obj", corners(0), corners(0), "o one\n", TETRAHEDRON.format(1, 2, 3, 4), TETRAHEDRON.format(5, 6, 7, 8)
    )
    assert [len(part) for part in parts(mesh)] == [4]


def test_touching_objects_of_a_file_are_separate(tmp_path):
    faces = TETRAHEDRON.format(1, 2, 3, 4)
    assert len(parts(write(tmp_path / "c.obj", corners(0), "o one\n", faces, "o two\n", faces))) == 2


def test_unused_points_are_omitted(tmp_path):
    mesh = write(tmp_path / "d.obj", corners(0), "v 9 9 9\n", "o one\n", TETRAHEDRON.format(1, 2, 3, 4))
    assert np.array_equal(np.unique(parts(mesh)[0]), [0, 1])
